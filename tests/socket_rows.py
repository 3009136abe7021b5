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
                  "redis-benchmark -p 6399 -c 20 -P 8 -n 1500000 -r 100000 -t set,incr --csv; echo code $?; "
                  "redis-cli -p 6399 dbsize; redis-cli -p 6399 shutdown nosave; wait")
        lab.start("redisbench", "bash", "-c", script, cwd="/shared/redisbench")
        until_ready(lab, "redisbench")
        time.sleep(0.3)
        freezes = lab.hop("redisbench", 10, pause=0.2)
        check(json.loads(lab.run("inspect", "redisbench", "--json").stdout)["state"] == "running", "it was through too soon")
        lab.wait("redisbench", 300)
        output = lab.logs("redisbench")
        check("code 0" in output and re.search(r'"SET"|SET', output) and "rror" not in output, output[-600:])
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

    return {"tcp_faults": row_tcp_faults, "last-words": row_last_words, "asyncio1": asyncio_row(1, 10), "asyncio100": asyncio_row(100, 10),
            "asyncio1000": asyncio_row(1000, 6), "redisbench": row_redis_benchmark}
