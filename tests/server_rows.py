"""Rows of tests/run for servers as people run them, under load from another node while they move. Clients compare every answer."""
import json
import os
import re
import time

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")

# A publisher and a subscriber of one channel; the numbers must come in order, all of them.
PUBLISHER = '''
import json, os, socket, sys, threading, time
address, port, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
subscriber = socket.create_connection((address, port), timeout=20)
lines = subscriber.makefile("rb")
subscriber.sendall(b"SUBSCRIBE numbers\\r\\n")
for _ in range(6): lines.readline()
received, gaps = [], []
def listen():
    last = time.monotonic()
    while True:
        words = [lines.readline() for _ in range(7)]
        number = int(words[6])
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
        if number < 0: return
        received.append(number)
thread = threading.Thread(target=listen)
thread.start()
publisher = socket.create_connection((address, port), timeout=20)
answers = publisher.makefile("rb")
sent = 0
def publish(number):
    publisher.sendall(b"PUBLISH numbers %d\\r\\n" % number)
    answer = answers.readline()
    assert answer == b":1\\r\\n", answer
while not os.path.exists(stop):
    publish(sent)
    sent += 1
    time.sleep(0.001)
publish(-1)
thread.join(20)
assert received == list(range(sent)), (sent, len(received))
print(json.dumps({"sent": sent, "longest_ms": max(gaps) * 1e3}))
'''

NGINX = '''
daemon off; master_process on; worker_processes 2; pid /shared/nginx/pid; error_log /shared/nginx/error.log;
events { worker_connections 256; }
http { access_log off; keepalive_requests 1000000;
  client_body_temp_path /shared/nginx/b; proxy_temp_path /shared/nginx/p; fastcgi_temp_path /shared/nginx/f;
  uwsgi_temp_path /shared/nginx/u; scgi_temp_path /shared/nginx/s;
  server { listen 8080; root /shared/nginx/root; } }
'''
# Every body is compared; the last line says how many were wrong.
WRK = '''
local file = io.open("/shared/nginx/root/text", "r")
local expected = file:read("*all")
file:close()
wrong = 0
local threads = {}
function setup(thread) table.insert(threads, thread) end
function response(status, headers, body) if status ~= 200 or body ~= expected then wrong = wrong + 1 end end
function done(summary, latency, requests)
  local all = 0
  for _, thread in ipairs(threads) do all = all + thread:get("wrong") end
  local e = summary.errors
  print(string.format('{"requests": %d, "wrong": %d, "errors": %d, "timeouts": %d, "longest_ms": %.1f}', summary.requests, all,
        e.connect + e.read + e.write + e.status, e.timeout, latency.max / 1000))
end
'''

WEBSOCKET_SERVER = '''
import asyncio, hashlib, websockets
async def serve(socket, path=None):
    async for message in socket:
        await socket.send(hashlib.sha256(message).hexdigest() + " " + str(len(message)))
async def main():
    async with websockets.serve(serve, "::", 8765):
        print("ready", flush=True)
        await asyncio.Future()
asyncio.run(main())
'''
WEBSOCKET_CLIENT = '''
import asyncio, hashlib, json, os, random, sys, time, websockets
address, stop = sys.argv[1], sys.argv[2]
count, longest = 0, 0.0
async def client(k):
    global count, longest
    rng = random.Random(k)
    async with websockets.connect(f"ws://{address}:8765/", ping_interval=1) as socket:
        while not os.path.exists(stop):
            message = rng.randbytes(rng.randrange(1, 20000))
            begin = time.monotonic()
            await socket.send(message)
            answer = await asyncio.wait_for(socket.recv(), 20)
            assert answer == hashlib.sha256(message).hexdigest() + " " + str(len(message)), answer
            longest = max(longest, time.monotonic() - begin)
            count += 1
            await asyncio.sleep(0.005)
async def main():
    await asyncio.gather(*(client(k) for k in range(5)))
asyncio.run(main())
print(json.dumps({"answers": count, "longest_ms": longest * 1e3}))
'''

# A listener of MPTCP, as those of Go are since 1.24, and clients that speak plain TCP: each connects anew for every question.
MPTCP_SERVER = '''
import socket, threading
listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("::", 8262))
listener.listen(64)
idle = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)  # it connects to nobody
print("ready", flush=True)
def serve():
    while True:
        with listener.accept()[0] as asked, asked.makefile("rb") as questions:
            for line in questions: asked.sendall(b"answer " + line)
for _ in range(4): threading.Thread(target=serve).start()
'''
MPTCP_CLIENT = '''
import json, os, socket, sys, threading, time
address, stop = sys.argv[1], sys.argv[2]
counts, errors, longest = [0] * 4, [], [0.0] * 4
def ask(k):
    try:
        while not os.path.exists(stop):
            begin = time.monotonic()
            with socket.create_connection((address, 8262), timeout=20) as server:
                answers = server.makefile("rb")
                for turn in range(3):
                    question = b"question %d of %d\\n" % (counts[k], k)
                    server.sendall(question)
                    answer = answers.readline()
                    assert answer == b"answer " + question, answer
                    counts[k] += 1
                server.shutdown(socket.SHUT_WR)  # who closes first loses what is not acknowledged, see docs/forwarding.md
                assert server.recv(1) == b"", "more than was asked for"
            longest[k] = max(longest[k], time.monotonic() - begin)
            time.sleep(0.001)
    except (OSError, AssertionError) as error:
        errors.append(f"{k}: {error!r}")
threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps({"answers": sum(counts), "errors": errors, "longest_ms": max(longest) * 1e3}))
'''

# A person at a terminal over the network: one command after the other, each answer as it must be.
TYPIST = '''
import json, os, socket, sys, time
address, stop = sys.argv[1], sys.argv[2]
session = socket.create_connection((address, 2323), timeout=20)
screen = b""
def expect(text):
    global screen
    while text not in screen:
        part = session.recv(4096)
        assert part, screen[-300:]
        screen += part
    screen = screen[screen.index(text) + len(text):]
session.sendall(b"PS1=; total=0; tty; echo begin$((1))\\n")
expect(b"begin1")
turn = longest = total = 0
while not os.path.exists(stop) or turn < 10:
    turn += 1
    total += turn
    begin = time.monotonic()
    session.sendall(b"total=$((total+%d)); echo sum $total after $((%d+1))\\n" % (turn, turn))
    expect(b"sum %d after %d" % (total, turn + 1))
    longest = max(longest, time.monotonic() - begin)
    time.sleep(0.02)
session.sendall(b"exit\\n")
while session.recv(4096):
    pass
print(json.dumps({"commands": turn, "longest_ms": longest * 1e3}))
'''


# Binds, and becomes the server when somebody comes, which finds the socket as systemd and inetd hand it over.
ACTIVATED = """
import os, select, socket, sys
if "LISTEN_FDS" not in os.environ:
    listening = socket.create_server(("0.0.0.0", 8300), backlog=64)
    print("ready", flush=True)
    select.select([listening], [], [])
    os.dup2(listening.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execv(sys.executable, [sys.executable] + sys.argv)
assert os.environ["LISTEN_PID"] == str(os.getpid())
listening = socket.socket(fileno=3)
while True:
    connection, _ = listening.accept()
    connection.sendall(connection.recv(100))
    connection.close()
"""

# Asks again and again by a new connection, until it is told to stop.
ASKER = """
import json, os, socket, sys, time
answers = errors = 0
while not os.path.exists(sys.argv[2]):
    question = b"question %d" % (answers + errors)
    try:
        with socket.create_connection((sys.argv[1], 8300), timeout=5) as connection:
            connection.sendall(question)
            right = connection.recv(100) == question
    except OSError:
        right = False
    answers, errors = answers + right, errors + (not right)
    time.sleep(0.002)
print(json.dumps({"answers": answers, "errors": errors}))
"""


def rows(check, average, vip_of):
    """The rows by name; `check` and `average` are the runner's own."""

    def wait_until(lab, job, condition, text):
        deadline = time.time() + 20
        while not condition():
            check(time.time() < deadline, f"{text}: {lab.logs(job)[-300:]}")
            time.sleep(0.1)

    def answers(lab, address, port):
        return lab.shell("node3", f"python3 -c 'import socket; socket.create_connection((\"{address}\", {port}), 1)'", ok=None).returncode == 0

    def client(lab, *command):
        return lab.popen("lab", "exec", "node3", "--", *command)

    def ended(process, what, timeout=40):
        said = process.communicate(timeout=timeout)[0]
        check(process.returncode == 0, f"{what} ended with {process.returncode}: {said[-500:]}")
        return said

    def last_json(said):
        return json.loads(said.strip().splitlines()[-1])

    def redis(lab):
        """redis-server: redis-benchmark (pipelined) and a subscriber on another node"""
        lab.file("/shared/publisher.py", PUBLISHER)
        lab.start("redis-served", "redis-server", "--port", "6400", "--bind", "* -::*", "--protected-mode", "no", "--save", "", "--appendonly", "no")
        address = vip_of(lab, "redis-served")[0]
        wait_until(lab, "redis-served", lambda: answers(lab, address, 6400), "redis does not answer")
        subscriber = client(lab, "/usr/bin/python3", "/shared/publisher.py", address, "6400", "/shared/stop-redis")
        load = client(lab, "sh", "-c", f"while ! test -e /shared/stop-redis; do redis-benchmark -h {address} -p 6400 -c 20 -P 8 -n 20000 -r 1000 "
                      "-t set,incr,lrange_100 --csv 2>&1 || exit 7; done; echo ended")
        time.sleep(1)
        freezes = lab.hop("redis-served", 10, pause=0.3)
        lab.shell("node1", "touch /shared/stop-redis")
        told = last_json(ended(subscriber, "the subscriber"))
        said = ended(load, "redis-benchmark")
        check("rror" not in said and said.count('"INCR"') > 1 and said.endswith("ended\n"), said[-500:])
        lab.run("kill", "redis-served")
        return f"10 moves, freeze {average(freezes):.1f} ms on average; {told['sent']} numbers published, longest silence {told['longest_ms']:.0f} ms"

    def postgres(lab):
        """PostgreSQL: pgbench with eight clients on another node; the books must balance"""
        programs = lab.shell("node1", "ls -d /usr/lib/postgresql/*/bin | tail -1").stdout.strip()
        lab.shell("node1", "rm -rf /shared/pg && mkdir /shared/pg && chown postgres /shared/pg && chmod 755 /shared && cd /shared/pg && "
                  f"setpriv --reuid postgres --regid postgres --clear-groups {programs}/initdb -A trust -N -D /shared/pg/data >/dev/null && "
                  "echo 'host all all all trust' >> data/pg_hba.conf && "
                  "echo huge_pages=off >> data/postgresql.conf")
        lab.start("pg", "setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", f"{programs}/postgres", "-D", "/shared/pg/data",
                  "-h", "*", "-F", "-B", "4096", "-k", "/shared/pg", cwd="/shared/pg")
        address = vip_of(lab, "pg")[0]
        connect = f"-h {address} -U postgres postgres"
        wait_until(lab, "pg", lambda: lab.shell("node3", f"{programs}/psql {connect} -c 'select 1'", ok=None).returncode == 0, "it does not answer")
        lab.shell("node3", f"{programs}/pgbench -i -q {connect} 2>&1")
        load = client(lab, "sh", "-c", f"{programs}/pgbench -n -c 8 -j 2 -T 16 -P 1 {connect} 2>&1")
        time.sleep(1)
        freezes = lab.hop("pg", 10, pause=0.3)
        said = ended(load, "pgbench")
        done = int(re.search(r"actually processed: (\d+)", said)[1])
        check(re.search(r"failed transactions: 0 ", said) and "rror" not in said and done > 100, said[-900:])
        sums = lab.shell("node3", f"{programs}/psql -At {connect} -c 'select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) "
                         "from pgbench_tellers), (select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history), "
                         "(select count(*) from pgbench_history)'").stdout.strip().split("|")
        check(len(set(sums[:4])) == 1 and int(sums[4]) == done, f"the books do not balance: {sums}, {done} transactions")
        lab.run("kill", "pg")
        return f"10 moves, freeze {average(freezes):.1f} ms on average, {done} transactions, none failed, the books balance"

    def nginx(lab):
        """nginx with keep-alive clients (wrk) on another node, every body compared"""
        lab.shell("node1", "mkdir -p /shared/nginx/root && chmod -R a+rwx /shared/nginx && seq 1 2000 > /shared/nginx/root/text")
        lab.file("/shared/nginx/conf", NGINX)
        lab.file("/shared/nginx/wrk.lua", WRK)
        lab.start("nginx", "/usr/sbin/nginx", "-c", "/shared/nginx/conf")
        address = vip_of(lab, "nginx")[0]
        wait_until(lab, "nginx", lambda: answers(lab, address, 8080), "it does not answer")
        load = client(lab, "sh", "-c", f"wrk -t 1 -c 16 -d 9 --timeout 10 -s /shared/nginx/wrk.lua http://{address}:8080/text")
        time.sleep(1)
        freezes = lab.hop("nginx", 10, pause=0.2)
        told = last_json(ended(load, "wrk"))
        check(told["wrong"] == 0 and told["errors"] == 0 and told["timeouts"] == 0 and told["requests"] > 1000, f"{told}")
        lab.run("kill", "nginx")
        return f"10 moves, freeze {average(freezes):.1f} ms on average; {told}"

    def go(lab):
        """an HTTP server of Go that computes and allocates beside it; clients (wrk) that keep their connections and such that do not"""
        lab.shell("node1", "mkdir -p /shared/nginx/root && chmod -R a+rwx /shared/nginx && seq 1 2000 > /shared/nginx/root/text")
        lab.file("/shared/nginx/wrk.lua", WRK)
        lab.file("/shared/http_server.go", open(os.path.join(PROGRAMS, "http_server.go"), encoding="utf-8").read())
        lab.shell("node1", "cd /shared && HOME=/tmp CGO_ENABLED=0 go build -o http_server http_server.go")
        lab.start("go", "/shared/http_server")
        address = vip_of(lab, "go")[0]
        wait_until(lab, "go", lambda: answers(lab, address, 8081), "it does not answer")
        wrk = f"wrk -t 1 -d 9 --timeout 10 -s /shared/nginx/wrk.lua http://{address}:8081/text"
        keeping = client(lab, "sh", "-c", f"{wrk} -c 16")
        closing = client(lab, "sh", "-c", f"{wrk} -c 2 -H 'Connection: close'")
        time.sleep(1)
        freezes = lab.hop("go", 10, pause=0.2)
        for load in (keeping, closing):
            told = last_json(ended(load, "wrk"))
            check(told["wrong"] == 0 and told["errors"] == 0 and told["timeouts"] == 0 and told["requests"] > 500, f"{told}")
        lab.run("kill", "go")
        return f"10 moves, freeze {average(freezes):.1f} ms on average; {told}"

    def websocket(lab):
        """a WebSocket server and five clients on another node, every answer compared"""
        lab.file("/shared/ws_server.py", WEBSOCKET_SERVER)
        lab.file("/shared/ws_client.py", WEBSOCKET_CLIENT)
        lab.start("websocket", "/usr/bin/python3", "/shared/ws_server.py")
        wait_until(lab, "websocket", lambda: "ready" in lab.logs("websocket"), "never ready")
        load = client(lab, "/usr/bin/python3", "/shared/ws_client.py", f"[{vip_of(lab, 'websocket')[1]}]", "/shared/stop-websocket")
        time.sleep(1)
        freezes = lab.hop("websocket", 10, pause=0.2)
        lab.shell("node1", "touch /shared/stop-websocket")
        told = last_json(ended(load, "the client"))
        check(told["answers"] > 500, f"{told}")
        lab.run("kill", "websocket")
        return f"10 moves, freeze {average(freezes):.1f} ms on average; {told}"

    def mptcp(lab):
        """a listener of MPTCP and clients on another node that connect for every few questions, each answer compared"""
        lab.file("/shared/mptcp_server.py", MPTCP_SERVER)
        lab.file("/shared/mptcp_client.py", MPTCP_CLIENT)
        lab.start("mptcp", "/usr/bin/python3", "/shared/mptcp_server.py")
        wait_until(lab, "mptcp", lambda: "ready" in lab.logs("mptcp"), "never ready")
        load = client(lab, "/usr/bin/python3", "/shared/mptcp_client.py", vip_of(lab, "mptcp")[0], "/shared/stop-mptcp")
        time.sleep(1)
        freezes = lab.hop("mptcp", 10, pause=0.2)
        lab.shell("node1", "touch /shared/stop-mptcp")
        told = last_json(ended(load, "the client"))
        check(told["answers"] > 500 and not told["errors"], f"{told}")
        lab.run("kill", "mptcp")
        return f"10 moves, freeze {average(freezes):.1f} ms on average; {told}"

    def session(lab):
        """an interactive shell in a terminal of the job's own, over the network"""
        lab.file("/shared/typist.py", TYPIST)
        lab.start("session", "socat", "TCP6-LISTEN:2323,ipv6-v6only=0,reuseaddr,fork", "EXEC:bash --norc -i,pty,setsid,ctty,stderr,echo=0")
        time.sleep(0.5)
        typist = client(lab, "sh", "-c", f"/usr/bin/python3 /shared/typist.py {vip_of(lab, 'session')[0]} /shared/stop-session 2>&1")
        time.sleep(0.5)
        freezes = lab.hop("session", 10, pause=0.3)
        lab.shell("node1", "touch /shared/stop-session")
        said = typist.communicate(timeout=40)[0]
        there = lab.run("exec", "session", "--", "ps", "-eo", "pid,ppid,stat,wchan,args").stdout
        check(typist.returncode == 0, f"the session ended with {typist.returncode}: {said[-600:]}\n{there}")
        told = last_json(said)
        lab.run("kill", "-s", "KILL", "session")
        return f"10 moves, freeze {average(freezes):.1f} ms on average; {told}"

    def activated(lab):
        """a server started by socket activation, moved before anybody came and then under load"""
        lab.file("/shared/activated.py", ACTIVATED)
        lab.file("/shared/asker.py", ASKER)
        lab.start("activated", "/usr/bin/python3", "/shared/activated.py")
        wait_until(lab, "activated", lambda: "ready" in lab.logs("activated"), "never ready")
        freezes = lab.hop("activated", 2)
        asker = client(lab, "/usr/bin/python3", "/shared/asker.py", vip_of(lab, "activated")[0], "/shared/stop-activated")
        time.sleep(0.5)
        freezes += lab.hop("activated", 10, pause=0.2)
        lab.shell("node1", "touch /shared/stop-activated")
        told = last_json(ended(asker, "the asker"))
        check(told["answers"] > 300 and told["errors"] == 0, f"{told}")
        lab.run("kill", "activated")
        return f"12 moves, freeze {average(freezes):.1f} ms on average; {told}"

    return {"served-activated": activated, "served-redis": redis, "served-postgres": postgres, "served-nginx": nginx, "served-go": go, "served-websocket": websocket, "served-mptcp": mptcp,
            "served-session": session}
