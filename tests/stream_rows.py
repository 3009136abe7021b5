"""Rows of tests/run about connections with programs outside a job, that go on while it moves: every byte is compared."""
import json
import threading
import time

# Both sides of `count` connections. Each sends a pattern of its own for as long as it is told to and compares what it
# receives; at the end the server says how much it has received. Prints what went wrong, and counts.
STREAMS = '''
import json, os, random, selectors, socket, struct, sys, time
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
    listening = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
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

    def streams(lab, mechanism="update", count=1, rate=20e6, moves=10, port=9100):
        """A job on the move serves `count` connections of a plain program on node3."""
        job = f"stream-{mechanism}-{count}"
        addresses = serve(lab, job, port, count, rate, mechanism)
        stop = f"/shared/stop-{job}"
        client = lab.popen("lab", "exec", "node3", "--", "/usr/bin/python3", "/shared/streams.py", "client", addresses,
                           str(port), str(count), str(rate), stop)
        time.sleep(1)
        freezes = lab.hop(job, moves, pause=0.25)
        lab.shell("node1", f"touch {stop}")
        deadline = time.time() + 20
        while client.poll() is None:
            if time.time() > deadline:
                client.kill()
                here = lab.shell("node3", f"ss -tinoe '( dport = :{port} )'").stdout
                there = lab.run("exec", job, "--", "ss", "-tinoe", ok=None).stdout
                check(False, f"the client does not end\n{here[-3000:]}\n{there[-3000:]}")
            time.sleep(0.05)
        told = judge(client.stdout.read(), client.returncode, "client")
        code = lab.wait(job, 20)
        served = judge(lab.logs(job), code, "server")
        check(told["sent"] == served["received"] and told["received"] == served["sent"], f"{told} and {served}")
        check(min(told["sent"], told["received"]) > 50000 * count, f"too little was said: {told}")
        return (f"{moves} moves, freeze {average(freezes):.1f} ms on average, {max(freezes):.1f} at most; {told['sent'] / 1e6:.0f} MB there and "
                f"{told['received'] / 1e6:.0f} MB back, longest silence {told['longest_ms']:.0f} ms")

    def hundred(lab):
        """a hundred connections with a program on another node, every byte compared both ways"""
        return streams(lab, count=100, rate=10e6, port=9101)

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

    mechanisms = ("update", "traversal", "origin", "resend-notify", "resend")
    return {**{"stream-" + mechanism: stream_row(mechanism) for mechanism in mechanisms}, "stream-100": hundred, "stream-both": both}
