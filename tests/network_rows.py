"""Rows of tests/run about messages: clients on other nodes talk to jobs that move."""
import json
import time

ECHO_SERVER = """
import socket, sys
family = socket.AF_INET6
server = socket.create_server(("::", int(sys.argv[1])), family=family, dualstack_ipv6=True, backlog=128)
count = 0
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    with connection:
        count += 1
        text = connection.recv(100)
        connection.sendall(text + b" %d" % count)
"""

# One connection and one question after the other; every answer must be the right one. Each version of IP in turn.
CLIENT = """
import json, os, socket, sys, time
addresses, port, stop = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3]
gaps, asked, last, errors = [], 0, 0, []
while not os.path.exists(stop):
    asked += 1
    begin = time.monotonic()
    try:
        with socket.create_connection((addresses[asked % len(addresses)], port), timeout=20) as connection:
            connection.sendall(b"question %d" % asked)
            answer = b""
            while part := connection.recv(100):
                answer += part
        words = answer.split()
        right = words[:2] == [b"question", b"%d" % asked] and int(words[2]) > last
        if right:
            last = int(words[2])
        else:
            errors.append(repr(answer))
    except OSError as failed:
        errors.append(str(failed))
    gaps.append(time.monotonic() - begin)
    time.sleep(0.002)
print(json.dumps({"asked": asked, "errors": errors[:5], "failed": len(errors), "longest_ms": max(gaps) * 1e3,
                  "median_ms": sorted(gaps)[len(gaps) // 2] * 1e3}))
"""


def vip_of(lab, job):
    view = json.loads(lab.run("inspect", job, "--json").stdout)
    return view["vip"], view["vip6"]


def wait_for(condition, text, check, seconds=10):
    deadline = time.time() + seconds
    while not condition():
        check(time.time() < deadline, text)
        time.sleep(0.02)


def moved_server(lab, check, mechanism, moves=12, pause=0.25):
    """A server that moves `moves` times while a client on node3 asks it question after question."""
    job, port = "server-" + mechanism, 9000
    lab.file("/shared/echo.py", ECHO_SERVER)
    lab.file("/shared/client.py", CLIENT)
    lab.run("run", "-d", "--name", job, "--on", "node1", "--cwd", "/shared", "--forwarding", mechanism, "--",
            "/usr/bin/python3", "/shared/echo.py", str(port))
    wait_for(lambda: "ready" in lab.logs(job), "the server is never ready", check)
    addresses = ",".join(vip_of(lab, job))
    stop = f"/shared/stop-{job}"
    lab.run("run", "-d", "--name", "client-" + mechanism, "--on", "node3", "--cwd", "/shared", "--",
            "/usr/bin/python3", "/shared/client.py", addresses, str(port), stop)
    time.sleep(0.5)
    freezes = lab.hop(job, moves, pause=pause)
    lab.shell("node1", f"touch {stop}")
    code = lab.wait("client-" + mechanism, 60)
    said = lab.logs("client-" + mechanism)
    check(code == 0, f"the client ended with {code}: {said[-500:]}")
    result = json.loads(said)
    check(result["failed"] == 0, f"the client saw errors: {result}")
    check(result["asked"] > moves, f"the client asked too little: {result}")
    lab.run("kill", job)
    lab.wait(job, 20)
    longest = max(freezes)
    return (f"{moves} moves, {result['asked']} questions, median {result['median_ms']:.1f} ms, longest {result['longest_ms']:.0f} ms; "
            f"longest freeze {longest:.0f} ms")


def rows(check):
    """The rows by name; `check` is the runner's."""
    def row(mechanism):
        def run(lab):
            return moved_server(lab, check, mechanism)
        run.__doc__ = f"a client on another node and a server that moves, forwarding by {mechanism}"
        return run
    return {"net-" + mechanism: row(mechanism) for mechanism in ("update", "traversal", "origin", "resend-notify", "resend")}
