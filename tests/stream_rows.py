"""Rows of tests/run about connections with programs outside a job, that go on while it moves: every byte is compared."""
import json
import threading
import time

# Both sides of `count` connections. Each sends a pattern of its own for as long as it is told to and compares what it
# receives; at the end the server says how much it has received. Prints what went wrong, and counts.
STREAMS = '''
import json, os, random, resource, selectors, socket, struct, sys, time
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
role, address, port, count, rate, stop = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), sys.argv[6]
BLOCK = 1 << 18
block = random.Random(7).randbytes(BLOCK)
twice = block + block

class End:
    def __init__(self, connection, number):
        connection.setblocking(False)
        self.connection, self.number = connection, number
        self.sent = self.received = 0
        self.rest = b""          # what was received last: the server's count comes at the very end
        self.closed = self.ended = False
    def offset(self, server_sends):
        return (self.number * 2 + server_sends) * 4099
    def send(self, allowed):
        start = (self.sent + self.offset(role == "server")) % BLOCK
        try:
            self.sent += self.connection.send(twice[start:start + min(allowed, BLOCK)])
        except BlockingIOError:
            pass
    def compare(self, data):
        start = (self.received + self.offset(role == "client")) % BLOCK
        self.received += len(data)
        for at in range(0, len(data), BLOCK):
            part = data[at:at + BLOCK]
            if part != twice[start:start + len(part)]:
                fail(f"connection {self.number}: wrong bytes before {self.received}")
    def receive(self):
        try:
            data = self.connection.recv(BLOCK)
        except BlockingIOError:
            return
        if not data:
            self.ended = True
        elif role == "server":
            self.compare(data)
        else:
            self.rest += data
            self.compare(self.rest[:-8])
            self.rest = self.rest[-8:]

def fail(text):
    print(json.dumps({"error": text}), flush=True)
    os._exit(1)

ends = []
if role == "server":
    listening = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    print("ready", flush=True)
    for k in range(count):
        connection = listening.accept()[0]
        ends.append(End(connection, struct.unpack("!I", connection.recv(4, socket.MSG_WAITALL))[0]))
else:
    addresses = address.split(",")
    for k in range(count):
        connection = socket.create_connection((addresses[k % len(addresses)], port), timeout=20)
        connection.sendall(struct.pack("!I", k))
        ends.append(End(connection, k))
    print("ready", flush=True)
selector = selectors.DefaultSelector()
for end in ends:
    selector.register(end.connection, selectors.EVENT_READ, end)
begin, live, longest, last = time.monotonic(), len(ends), 0.0, time.monotonic()
stopped = False
try:
    while live:
        stopped = stopped or (role == "client" and os.path.exists(stop))
        allowed = (time.monotonic() - begin) * rate / count
        for key, _ in selector.select(0.002):
            end = key.data
            end.receive()
            if end.ended:
                selector.unregister(end.connection)
                if role == "server":
                    end.connection.setblocking(True)
                    end.connection.sendall(struct.pack("!Q", end.received))
                    end.connection.shutdown(socket.SHUT_WR)
                live -= 1
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        for end in ends:
            if stopped and not end.closed:
                end.closed = True
                end.connection.shutdown(socket.SHUT_WR)
            elif not end.closed and not end.ended and end.sent < allowed:
                end.send(int(allowed - end.sent) + 1)
except OSError as failed:
    fail(f"connection {end.number}: {failed}, {end.sent} sent, {end.received} received")
if role == "client":
    for end in ends:
        told = struct.unpack("!Q", end.rest)[0]
        if told != end.sent:
            fail(f"connection {end.number}: {end.sent} sent, {told} received")
print(json.dumps({"sent": sum(end.sent for end in ends), "received": sum(end.received for end in ends), "connections": len(ends),
                  "longest_ms": longest * 1e3, "seconds": time.monotonic() - begin}), flush=True)
'''

# Connections of which one side has ended its stream: 'c' the client, which listens to numbers, 's' the server. Prints how many
# numbers it was told on each of the latter.
HALF_SERVER = '''
import os, socket, sys, threading, time
listening = socket.create_server(("::", 9120), family=socket.AF_INET6, dualstack_ipv6=True)
stop = sys.argv[1]
print("ready", flush=True)
def serve(connection):
    mode = connection.recv(1)
    if mode == b"c":
        number = 0
        while not os.path.exists(stop):
            connection.sendall(b"%d\\n" % number)
            number += 1
            time.sleep(0.005)
        connection.sendall(b"end\\n")
    else:
        connection.shutdown(socket.SHUT_WR)
        lines = connection.makefile("rb").read().split()
        assert lines == [b"%d" % k for k in range(len(lines))], lines[-5:]
        os.write(1, b"told %d\\n" % len(lines))  # whole, beside the other thread
    connection.close()
threads = [threading.Thread(target=serve, args=(listening.accept()[0],)) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print("PASS", flush=True)
'''
HALF_CLIENT = '''
import os, socket, sys, threading, time
addresses, stop = sys.argv[1].split(","), sys.argv[2]
def work(mode, address):
    connection = socket.create_connection((address, 9120), timeout=20)
    connection.sendall(mode)
    if mode == b"c":
        connection.shutdown(socket.SHUT_WR)
        lines = connection.makefile("rb").read().split()
        assert lines[-1] == b"end" and lines[:-1] == [b"%d" % k for k in range(len(lines) - 1)], lines[-5:]
        os.write(1, b"heard %d\\n" % len(lines))
    else:
        assert connection.recv(1) == b""
        number = 0
        while not os.path.exists(stop):
            connection.sendall(b"%d\\n" % number)
            number += 1
            time.sleep(0.005)
        connection.close()
        os.write(1, b"said %d\\n" % number)
threads = [threading.Thread(target=work, args=(mode, address)) for mode in (b"c", b"s") for address in addresses]
[t.start() for t in threads]; [t.join() for t in threads]
'''
# Takes a connection only now and then; answers what it was told, and how many it has taken.
SLOW_SERVER = '''
import socket, sys, time
listening = socket.create_server(("::", 9110), family=socket.AF_INET6, dualstack_ipv6=True, backlog=200)
print("ready", flush=True)
taken = 0
while True:
    time.sleep(0.03)
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(10)
        taken += 1
        text = b""
        while not text.endswith(b"\\n"):
            text += connection.recv(1000)
        connection.sendall(b"%d %s" % (taken, text))
'''
# Sixty clients that connect, speak at once or after a while, and wait for their answers; then the next, until told to stop.
PATIENT_CLIENTS = '''
import asyncio, json, os, sys
addresses, stop = sys.argv[1].split(","), sys.argv[2]
answered, wrong = 0, []
async def client(k):
    global answered
    turn = 0
    while not os.path.exists(stop):
        turn += 1
        try:
            reader, writer = await asyncio.open_connection(addresses[(k + turn) % len(addresses)], 9110)
            await asyncio.sleep(0.05 * (k % 4))
            text = b"client %d turn %d\\n" % (k, turn)
            writer.write(text)
            answer = await asyncio.wait_for(reader.read(), 15)
            if answer.split(b" ", 1)[1:] != [text]:
                wrong.append(repr(answer))
            answered += 1
            writer.close()
        except (OSError, TimeoutError) as failed:
            wrong.append(f"client {k} turn {turn}: {failed!r}")
async def main():
    await asyncio.gather(*(client(k) for k in range(60)))
asyncio.run(main())
print(json.dumps({"answered": answered, "wrong": wrong[:5], "failed": len(wrong)}))
'''


def rows(check, average, vip_of):
    """The rows by name; `check` and `average` are the runner's own."""

    def until_ready(lab, job):
        deadline = time.time() + 20
        while "ready" not in lab.logs(job):
            check(time.time() < deadline, f"{job} is never ready: {lab.logs(job)[-300:]}")
            time.sleep(0.02)

    def serve(lab, job, port, count, rate, mechanism):
        lab.file("/shared/streams.py", STREAMS)
        lab.run("run", "-d", "--name", job, "--on", "node1", "--cwd", "/shared", "--forwarding", mechanism, "--",
                "/usr/bin/python3", "/shared/streams.py", "server", "-", str(port), str(count), str(rate), "-")
        until_ready(lab, job)
        return ",".join(vip_of(lab, job))

    def judge(said, code, what):
        check(code == 0, f"the {what} ended with {code}: {said[-400:]}")
        return json.loads(said.strip().splitlines()[-1])

    def streams(lab, mechanism="update", count=1, rate=20e6, moves=10, port=9100, least=50000):
        """A job on the move serves `count` connections of a plain program on node3."""
        job = f"stream-{mechanism}-{count}"
        addresses = serve(lab, job, port, count, rate, mechanism)
        stop = f"/shared/stop-{job}"
        client = lab.popen("lab", "exec", "node3", "--", "/usr/bin/python3", "/shared/streams.py", "client", addresses,
                           str(port), str(count), str(rate), stop)
        while "ready" not in client.stdout.readline():
            check(client.poll() is None, "the client cannot connect")
        time.sleep(1)
        freezes = lab.hop(job, moves, pause=0.25)
        lab.shell("node1", f"touch {stop}")
        deadline = time.time() + 20
        while client.poll() is None:
            if time.time() > deadline:
                client.kill()
                here = lab.shell("node3", f"ss -tinoe '( dport = :{port} )'").stdout
                there = lab.run("exec", job, "--", "ss", "-tinoe", ok=None).stdout
                state = lab.run("inspect", job, ok=None).stdout
                check(False, f"the client does not end\n{here[-3000:]}\n{there[-3000:]}\n{state[:1500]}\n{lab.logs(job)[-500:]}")
            time.sleep(0.05)
        told = judge(client.stdout.read(), client.returncode, "client")
        code = lab.wait(job, 20)
        served = judge(lab.logs(job), code, "server")
        check(told["sent"] == served["received"] and told["received"] == served["sent"], f"{told} and {served}")
        check(min(told["sent"], told["received"]) > least * count, f"too little was said: {told}")
        return (f"{len(freezes)} moves, freeze {average(freezes):.1f} ms on average, {max(freezes):.1f} at most; {told['sent'] / 1e6:.0f} MB there and "
                f"{told['received'] / 1e6:.0f} MB back, longest silence {told['longest_ms']:.0f} ms")

    def hundred(lab):
        """a hundred connections with a program on another node, every byte compared both ways"""
        return streams(lab, count=100, rate=10e6, port=9101)

    def thousand(lab):
        """a thousand connections with a program on another node, every byte compared both ways"""
        return streams(lab, count=1000, rate=10e6, moves=6, port=9103, least=5000)

    def ten_thousand(lab):
        """ten thousand connections with a program on another node, every byte compared both ways"""
        return streams(lab, count=10000, rate=5e6, moves=3, port=9104, least=500)

    def queue(lab):
        """a server that is slow to accept, and sixty clients on another node: the queue moves along"""
        lab.file("/shared/slow.py", SLOW_SERVER)
        lab.file("/shared/patient.py", PATIENT_CLIENTS)
        lab.start("queue", "/usr/bin/python3", "/shared/slow.py")
        until_ready(lab, "queue")
        client = lab.popen("lab", "exec", "node3", "--", "/usr/bin/python3", "/shared/patient.py", ",".join(vip_of(lab, "queue")),
                           "/shared/stop-queue")

        def waiting():
            return int(lab.run("exec", "queue", "--", "ss", "-Hltn").stdout.split()[1])
        until = time.time() + 20
        while waiting() < 50 and time.time() < until:
            time.sleep(0.1)
        waited, freezes = [], []
        for _ in range(10):
            waited.append(waiting())
            freezes += lab.hop("queue", 1, pause=0.2)
        lab.shell("node1", "touch /shared/stop-queue")
        told = judge(client.communicate(timeout=30)[0], client.returncode, "clients")
        lab.run("kill", "-s", "KILL", "queue")
        check(told["failed"] == 0 and told["answered"] > 100, f"{told}")
        check(min(waited) > 10, f"too few waited when it moved: {waited}")
        return f"10 moves with {min(waited)} to {max(waited)} connections waiting, freeze {average(freezes):.1f} ms on average, {told['answered']} answers"

    def halves(lab):
        """connections with another node of which one side has ended its stream and the other goes on"""
        lab.file("/shared/half_server.py", HALF_SERVER)
        lab.file("/shared/half_client.py", HALF_CLIENT)
        lab.start("halves", "/usr/bin/python3", "/shared/half_server.py", "/shared/stop-halves")
        until_ready(lab, "halves")
        client = lab.popen("lab", "exec", "node3", "--", "/usr/bin/python3", "/shared/half_client.py", ",".join(vip_of(lab, "halves")),
                           "/shared/stop-halves")
        time.sleep(0.5)
        freezes = lab.hop("halves", 8, pause=0.2)
        lab.shell("node1", "touch /shared/stop-halves")
        said = client.communicate(timeout=30)[0].split()
        code = lab.wait("halves", 20)
        served = lab.logs("halves")
        check(code == 0 and "PASS" in served, f"the server ended with {code}: {served[-500:]}")
        check(said.count("heard") == 2 and said.count("said") == 2, f"the client: {said}, {served}")
        sent = sorted(int(said[k + 1]) for k, word in enumerate(said) if word == "said")
        told = sorted(int(line.split()[1]) for line in served.splitlines() if line.startswith("told"))
        check(sent == told and min(sent) > 100, f"{sent} were sent and {told} received")
        return f"8 moves, freeze {average(freezes):.1f} ms on average, {said}"

    def together(work):
        """Does `work` for each key at the same time; the first failure is the row's."""
        failures = []

        def guarded(key):
            try:
                work(key)
            except Exception as failed:  # pylint: disable=broad-except
                failures.append(failed)
        threads = [threading.Thread(target=guarded, args=(key,)) for key in ("server", "client")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def both(lab):
        """ten connections between two jobs that move, in turn and at the same time, every byte compared both ways"""
        port, count, rate, stop = 9102, 10, 10e6, "/shared/stop-both"
        addresses = serve(lab, "both-server", port, count, rate, "update")
        lab.start("both-client", "/usr/bin/python3", "/shared/streams.py", "client", addresses, str(port), str(count),
                  str(rate), stop, node="node2")
        until_ready(lab, "both-client")
        freezes = []
        for _ in range(3):
            for job in ("both-server", "both-client"):
                freezes += lab.hop(job, 1, pause=0.2)
        for _ in range(6):
            together(lambda side: freezes.extend(lab.hop("both-" + side, 1, pause=0.2)))
        lab.shell("node1", f"touch {stop}")
        code = lab.wait("both-client", 40)
        told = judge(lab.logs("both-client"), code, "client")
        code = lab.wait("both-server", 20)
        served = judge(lab.logs("both-server"), code, "server")
        check(told["sent"] == served["received"] and told["received"] == served["sent"], f"{told} and {served}")
        return (f"{len(freezes)} moves, freeze {average(freezes):.1f} ms on average; {told['sent'] / 1e6:.0f} MB there and "
                f"{told['received'] / 1e6:.0f} MB back, longest silence {told['longest_ms']:.0f} ms")

    def stream_row(mechanism):
        def row(lab):
            return streams(lab, mechanism)
        row.__doc__ = f"a connection with a program on another node, every byte compared both ways, forwarding by {mechanism}"
        return row

    def many_row(mechanism, count):
        def row(lab):
            return streams(lab, mechanism, count=count, rate=5e6, moves=3, port=9107, least=500)
        row.__doc__ = f"{count} connections, forwarding by {mechanism}; only when it is named"
        row.on_request = True
        return row

    mechanisms = ("update", "traversal", "origin", "resend-notify", "resend")
    many = {f"stream-{mechanism}-{count}": many_row(mechanism, count) for mechanism in mechanisms for count in (100, 10000)}
    return {**many, **{"stream-" + mechanism: stream_row(mechanism) for mechanism in mechanisms}, "stream-100": hundred, "stream-1000": thousand,
            "stream-10000": ten_thousand, "stream-both": both,
            "stream-queue": queue, "stream-halves": halves}
