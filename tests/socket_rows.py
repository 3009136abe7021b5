"""Rows of tests/run for real programs that hold connections while they move."""
import json
import re
import time

from network_rows import vip_of

# Says three megabytes at once and ends; the client listens slowly.
LAST_WORDS = """
import socket
listening = socket.create_server(("::", 9500), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
connection = listening.accept()[0]
connection.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)
connection.sendall(b"x" * 3000000)
"""
SLOW_LISTENER = """
import socket, sys, time
connection, heard = socket.create_connection((sys.argv[1], 9500), timeout=10), 0
time.sleep(0.7)
while part := connection.recv(20000):
    heard += len(part)
    time.sleep(0.001)
print(heard)
"""

# Says so many bytes of a pattern as it is asked for, and closes at once: most of them the kernel has still to send.
CLOSES_FIRST = """
import socket, threading
listening = socket.create_server(("::", 7400), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
pattern = bytes(range(256)) * 4000
print("ready", flush=True)
def answer(connection):
    try:
        count = int(connection.recv(20))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        connection.sendall(pattern[:count])
    except OSError as error: print("trouble", error, flush=True)
    connection.close()
while True:
    threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()
"""
# Asks again and again from several threads, and compares everything that comes. With `slow` half of them read slowly and
# let little come ahead, so that most of an answer waits at the server long after that has closed.
READS_ALL = """
import json, os, random, socket, sys, threading, time
addresses, stop = sys.argv[1].split(), sys.argv[2]; slow = float((sys.argv + ["0"])[3])
pattern = bytes(range(256)) * 4000
answers, errors = [0] * 6, []
def ask(number):
    dice = random.Random(number)
    slowly, address = slow if number % 2 else 0, addresses[number // 2 % 2]
    while not os.path.exists(stop) and not errors:
        count, got = dice.randrange(1, 1000000 if slowly else 400000), b""
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connection:
                if slowly: connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 40000)
                connection.settimeout(20)
                connection.connect((address, 7400))
                connection.sendall(b"%d" % count)
                while part := connection.recv(30000):
                    got += part
                    if slowly: time.sleep(slow)
        except OSError as error: errors.append(f"{error} after {len(got)} of {count}")
        if got != pattern[:count]: errors.append(f"{len(got)} of {count}")
        answers[number] += 1
threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps({"answers": sum(answers), "errors": errors}))
"""

# Echoes one connection's lines; others it lets wait until it is told, and then answers each with what that had said.
LATE_SERVER = '''
import os, socket, sys, threading
listener = socket.create_server(("0.0.0.0", 7100), backlog=50)
print("ready", flush=True)
busy = listener.accept()[0]
def echo():
    with busy.makefile("rwb") as stream:
        for line in stream:
            stream.write(line), stream.flush()
threading.Thread(target=echo, daemon=True).start()
while not os.path.exists(sys.argv[1]): threading.Event().wait(0.05)
for _ in range(int(sys.argv[2])):
    connection = listener.accept()[0]
    with connection, connection.makefile("rwb") as stream:
        stream.write(b"late " + stream.readline()), stream.flush()
        assert stream.read() == b""
print("PASS", flush=True)
'''
# Some connections that say a line and wait, and one that asks all the time, until the file is there; every answer is compared.
LATE_CLIENT = '''
import os, socket, sys, time
vip, stop, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
busy = socket.create_connection((vip, 7100), timeout=20)
late = [socket.create_connection((vip, 7100), timeout=20) for _ in range(count)]
for number, connection in enumerate(late): connection.sendall(b"%d\\n" % number)
asked = 0
with busy.makefile("rwb") as stream:
    while not os.path.exists(stop) or asked < 10:
        stream.write(b"%d\\n" % asked), stream.flush()
        answer = stream.readline()
        assert answer == b"%d\\n" % asked, (asked, answer)
        asked += 1
        if asked == 10: print("busy", flush=True)
        time.sleep(0.001)
for number, connection in enumerate(late):
    with connection.makefile("rb") as stream: assert stream.readline() == b"late %d\\n" % number, number
    connection.close()
print("PASS", asked, flush=True)
'''
ASYNCIO = '''
import asyncio, hashlib, os, sys
COUNT, STOP = int(sys.argv[1]), sys.argv[2]
stopped = False
answered = 0
async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(hashlib.sha256(line).hexdigest().encode() + b"\\n")
        await writer.drain()
    writer.close()
async def client(k, port):
    global answered
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    i = 0
    while not stopped or i == 0:
        line = b"%d %d %s\\n" % (k, i, b"x" * (i * 37 % 2000))
        writer.write(line)
        await writer.drain()
        got = await reader.readline()
        assert got.decode().strip() == hashlib.sha256(line).hexdigest(), (k, i, got)
        answered, i = answered + 1, i + 1
        await asyncio.sleep(0.2 * COUNT / 1000)
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    tasks = []
    for k in range(COUNT):
        tasks.append(asyncio.create_task(client(k, port)))
        if k % 50 == 49: await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    global stopped
    while not os.path.exists(STOP): await asyncio.sleep(0.05)
    stopped = True
    await asyncio.gather(*tasks)
    print("PASS", answered, flush=True)
asyncio.run(main())
'''


# Urgent bytes both ways between a job and a plain program. Each end writes and then does not read until the job has moved.
URGENT = """
import fcntl, os, socket, sys, time
role, address, stop = sys.argv[1:4]
AT_MARK = 0x8905
def at_mark(link):
    return bool(int.from_bytes(fcntl.ioctl(link, AT_MARK, b"    "), sys.byteorder))
def say(link):
    link.sendall(b"before"); link.send(b"X", socket.MSG_OOB); link.sendall(b"behind")
def await_urgent(link):
    until = time.time() + 20
    while True:
        try:
            return link.recv(1, socket.MSG_OOB)
        except OSError:
            assert time.time() < until, "no urgent byte"
            time.sleep(0.01)
def exactly(link, size):
    got = b""
    while len(got) < size:
        part = link.recv(size - len(got)); assert part, "the end"; got += part
    return got
def hear(link, in_line):
    assert exactly(link, 6) == b"before"
    until = time.time() + 20
    while not at_mark(link):
        assert time.time() < until, "no mark"
        time.sleep(0.01)
    if not in_line:
        assert await_urgent(link) == b"X"
    rest = b"Xbehind" if in_line else b"behind"
    assert exactly(link, len(rest)) == rest
BULK = bytes(range(256)) * 2000
def overfill(link):  # and an urgent byte behind what waits for room
    link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    link.sendall(BULK); link.send(b"!", socket.MSG_OOB)
def hear_bulk(link):
    assert exactly(link, len(BULK)) == BULK
    assert await_urgent(link) == b"!"
def verify(links):
    hear(links[0], False); hear(links[1], True); hear_bulk(links[2])
links = []
if role == "server":
    with socket.create_server(("", 9140)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        print("ready", flush=True)
        links = [server.accept()[0] for _ in range(3)]
else:
    for _ in range(3):
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        link.connect((address, 9140)); links.append(link)
links[1].setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
for link in links[:2]: say(link)
overfill(links[2])
print("said", flush=True)
while not os.path.exists(stop): time.sleep(0.02)
verify(links)
for link in links[:2]: say(link)
hear(links[0], False); hear(links[1], True)
print("PASS", flush=True)
"""


def rows(python, programs, check, average, make_lab, faults):
    """The rows by name; `check`, `average`, `make_lab` and `faults` are tests/run's own."""

    def until_ready(lab, job):
        deadline = time.time() + 40
        while "ready" not in lab.logs(job):
            check(time.time() < deadline, "never ready: " + lab.logs(job)[-300:])
            time.sleep(0.05)

    def asyncio_row(count, moves):
        def row(lab):
            job = f"asyncio{count}"
            lab.file("/shared/asyncio_row.py", ASYNCIO)
            lab.start(job, python, "/shared/asyncio_row.py", str(count), "/shared/stop-" + job)
            until_ready(lab, job)
            freezes = lab.hop(job, moves)
            lab.shell("node1", "touch /shared/stop-" + job)
            code = lab.wait(job, 200)
            output = lab.logs(job)
            check(code == 0 and "PASS" in output, f"exit {code}: {output[-500:]}")
            return f"freeze {average(freezes):.1f} ms on average, {output.split()[-1]} answers, all right"
        row.__doc__ = f"asyncio server and {count} client(s) in one job, every answer compared"
        return row

    def row_redis_benchmark(lab):
        """redis-server and redis-benchmark (pipelined, 20 clients) in one job"""
        lab.shell("node1", "mkdir -p /shared/redisbench")
        script = ("redis-server --port 6399 --save '' --appendonly no > server.log & "
                  "until redis-cli -p 6399 ping 2>/dev/null | grep -q PONG; do sleep 0.1; done; echo ready; "
                  "until test -e /shared/stop-redisbench; do redis-benchmark -p 6399 -c 20 -P 8 -n 200000 -r 100000 -t set,incr --csv || exit 7; done; echo code 0; "
                  "redis-cli -p 6399 dbsize; redis-cli -p 6399 shutdown nosave; wait")
        lab.start("redisbench", "bash", "-c", script, cwd="/shared/redisbench")
        until_ready(lab, "redisbench")
        time.sleep(0.3)
        freezes = lab.hop("redisbench", 10, pause=0.2)
        lab.shell("node1", "touch /shared/stop-redisbench")
        code = lab.wait("redisbench", 100)
        output = lab.logs("redisbench")
        check(code == 0 and "code 0" in output and '"INCR"' in output and "rror" not in output, f"exit {code}: {output[-600:]}")
        return f"freeze {average(freezes):.1f} ms on average"

    def row_tcp_faults(_):
        """a worker killed, or the connection cut, while TCP connections are held still: they go on"""
        chosen = [name for name in faults() if re.search(r"source\.(state_sent|memory_sent|ready)|destination\.(restored|ready|committed)", name)]
        check(len(chosen) >= 12, f"faults have other names: {faults()}")
        for name in chosen:
            with make_lab("tcpfault", fault=name, nodes=2) as lab:
                lab.start("victim", f"{programs}/tcp", "/shared/stop")
                until_ready(lab, "victim")
                lab.run("move", "victim", "--to", "node2", ok=None, timeout=90)
                time.sleep(0.5)
                lab.shell("node1", "touch /shared/stop")
                code = lab.wait("victim", 30)
                check(code == 0 and lab.logs("victim").rstrip().endswith("PASS"), f"{name}: exit {code}: {lab.logs('victim')[-300:]}")
        return f"{len(chosen)} faults"

    def late_fault(name, count=5):
        with make_lab("latefault", fault=name, nodes=3) as lab:
            lab.file("/shared/late_server.py", LATE_SERVER)
            lab.file("/shared/late_client.py", LATE_CLIENT)
            lab.start("victim", python, "/shared/late_server.py", "/shared/stop", str(count))
            until_ready(lab, "victim")
            client = lab.popen("lab", "exec", "node3", "--", python, "/shared/late_client.py", vip_of(lab, "victim")[0], "/shared/stop", str(count))
            check(client.stdout.readline() == "busy\n", "the client did not begin")
            lab.run("move", "victim", "--to", "node2", ok=None, timeout=90)
            time.sleep(0.5)
            lab.shell("node1", "touch /shared/stop")
            said, complaint = client.communicate(timeout=60)
            check(client.returncode == 0 and "PASS" in said, f"{name}: the client: {said[-200:]}{complaint[-600:]}")
            code = lab.wait("victim", 30)
            check(code == 0 and lab.logs("victim").rstrip().endswith("PASS"), f"{name}: exit {code}: {lab.logs('victim')[-300:]}")

    def row_late_faults(_):
        """a worker killed, or the connection cut, while an outside client asks and others wait to be accepted: nobody notices"""
        chosen = [name for name in faults() if re.search(r"source\.(state_sent|memory_sent|ready|committed)|destination\.(restored|ready|committed|running)", name)]
        check(len(chosen) >= 14, f"faults have other names: {faults()}")
        for name in chosen:
            late_fault(name)
        return f"{len(chosen)} faults"

    def row_last_words(lab):
        """what a program has written before it ended still comes to its peer on another node"""
        lab.file("/shared/last_words.py", LAST_WORDS)
        lab.file("/shared/slow_listener.py", SLOW_LISTENER)
        lab.start("brief", python, "/shared/last_words.py")
        until_ready(lab, "brief")
        said = lab.run("lab", "exec", "node3", "--", python, "/shared/slow_listener.py", vip_of(lab, "brief")[0], ok=None)
        check(said.stdout == "3000000\n", f"{said}")
        check(lab.wait("brief", 20) == 0, "it failed")
        return ""

    def asked_by_readers(lab, job, slow):
        lab.file("/shared/closes_first.py", CLOSES_FIRST)
        lab.file("/shared/reads_all.py", READS_ALL)
        lab.start(job, python, "/shared/closes_first.py")
        until_ready(lab, job)
        client = lab.popen("lab", "exec", "node3", "--", python, "/shared/reads_all.py", " ".join(vip_of(lab, job)[:2]), f"/shared/stop-{job}", slow)
        time.sleep(0.5)
        freezes = lab.hop(job, 10, pause=0.2)
        lab.shell("node1", f"touch /shared/stop-{job}")
        told, trouble = client.communicate(timeout=60)
        check(client.returncode == 0, f"the client: {trouble[-500:]}")
        told = json.loads(told)
        check(told["answers"] > 100 and not told["errors"], f"{told}; the server: {lab.logs(job)[-300:]}")
        lab.run("kill", job)
        return f"{told['answers']} answers, freeze {average(freezes):.1f} ms on average"

    def row_closes_first(lab):
        """a server that closes before its bytes have arrived, asked from another node all the time: all of them arrive"""
        return asked_by_readers(lab, "closes-first", "0")

    def row_reads_slowly(lab):
        """the same with readers so slow that the server has closed long before: what it wrote moves, and all of it arrives"""
        return asked_by_readers(lab, "reads-slowly", "0.05")

    def row_urgent_outside(lab):
        """urgent bytes on connections with a program outside: received, unread, unsent and in the stream, at both ends"""
        job, stop = "urgent-outside", "/shared/stop-urgent-outside"
        lab.file("/shared/urgent.py", URGENT)
        lab.start(job, python, "/shared/urgent.py", "server", "-", stop)
        until_ready(lab, job)
        address = json.loads(lab.run("inspect", job, "--json").stdout)["vip"]
        client = lab.popen("lab", "exec", "node3", "--", python, "/shared/urgent.py", "client", address, stop)
        deadline = time.time() + 20
        while "said" not in lab.logs(job):
            check(time.time() < deadline, "the job says nothing: " + lab.logs(job)[-300:])
            time.sleep(0.05)
        freezes = lab.hop(job, 6)
        lab.shell("node1", f"touch {stop}")
        told, trouble = client.communicate(timeout=60)
        code = lab.wait(job, 60)
        check(code == 0 and "PASS" in lab.logs(job), f"exit {code}: {lab.logs(job)[-500:]}")
        check(client.returncode == 0 and "PASS" in told, f"the client: {told[-200:]} {trouble[-500:]}")
        return f"freeze {average(freezes):.1f} ms on average"

    return {"urgent-outside": row_urgent_outside, "tcp_faults": row_tcp_faults, "late_faults": row_late_faults, "last-words": row_last_words, "closes-first": row_closes_first, "reads-slowly": row_reads_slowly, "asyncio1": asyncio_row(1, 10), "asyncio100": asyncio_row(100, 10),
            "asyncio1000": asyncio_row(1000, 6), "redisbench": row_redis_benchmark}
