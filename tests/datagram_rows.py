"""Rows of tests/run about datagrams: five thousand a second to a job that moves, each answered, each counted."""
import json
import time

from network_rows import vip_of, wait_for

# SO_RCVBUFFORCE and SO_SNDBUFFORCE: what waits during a freeze comes at once, and until then is the sender's.
BUFFER = "for which in (33, 32): connection.setsockopt(socket.SOL_SOCKET, which, 1 << 23)\n"

SERVER = "import socket, sys\nconnection = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n" + BUFFER + """
connection.bind(("::", int(sys.argv[1])))
print("ready", flush=True)
while True:
    text, sender = connection.recvfrom(2000)
    connection.sendto(text, sender)
"""

# Numbers, `rate` a second, over both versions of IP in turn; then waits for the last answers.
CLIENT = "import json, os, socket, struct, sys, time\nconnection = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n" + BUFFER + """
addresses, port, rate, stop = sys.argv[1].split(","), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
targets = [(each if ":" in each else "::ffff:" + each, port) for each in addresses]
connection.setblocking(False)
answers, sent, begin, end, doubled = {}, 0, time.monotonic(), None, 0
times = []
while end is None or time.monotonic() < end:
    if end is None and os.path.exists(stop):
        end = time.monotonic() + 2
    while end is None and sent < (time.monotonic() - begin) * rate:
        connection.sendto(struct.pack("!Q", sent) + b"x" * 92, targets[sent % len(targets)])
        times.append(time.monotonic())
        sent += 1
    try:
        while True:
            number = struct.unpack("!Q", connection.recv(200)[:8])[0]
            doubled += number in answers
            answers.setdefault(number, time.monotonic() - times[number])
    except BlockingIOError:
        time.sleep(0.0003)
late = sorted(answers.values())
gaps = []  # what was lost in a row of one version of IP: first, last, and when
for version in range(len(targets)):
    lost = [each for each in range(version, sent, len(targets)) if each not in answers]
    for each in lost:
        if gaps and gaps[-1]["last"] == each - len(targets):
            gaps[-1].update(last=each, until=times[each] - begin)
        else:
            gaps.append({"first": each, "last": each, "from": times[each] - begin, "until": times[each] - begin})
print(json.dumps({"sent": sent, "gaps": gaps[:20], "lost": sent - len(answers), "doubled": doubled, "median_ms": late[len(late) // 2] * 1e3,
                  "longest_ms": late[-1] * 1e3}))
"""


def rows(check, python):
    def datagrams(lab, mechanism, moves=10, port=9400, rate=5000):
        job = "datagrams-" + mechanism
        lab.file("/shared/datagram_server.py", SERVER)
        lab.file("/shared/datagram_client.py", CLIENT)
        lab.run("run", "-d", "--name", job, "--on", "node1", "--cwd", "/shared", "--forwarding", mechanism, "--",
                python, "/shared/datagram_server.py", str(port))
        wait_for(lambda: "ready" in lab.logs(job), "never ready", check)
        stop = f"/shared/stop-{job}"
        client = lab.popen("lab", "exec", "node3", "--", python, "/shared/datagram_client.py", ",".join(vip_of(lab, job)), str(port),
                           str(rate), stop)
        time.sleep(1)
        freezes = lab.hop(job, moves, pause=0.3)
        lab.shell("node1", f"touch {stop}")
        said, complaint = client.communicate(timeout=60)
        check(client.returncode == 0, f"the client ended with {client.returncode}: {complaint[-500:]}")
        result = json.loads(said)
        check(result["doubled"] == 0 and result["sent"] > moves * 0.3 * rate * 0.8, f"{result}")
        counts = json.loads(lab.run("inspect", job, "--json").stdout)["messages"]
        if mechanism in ("update", "origin", "traversal"):
            check(result["lost"] == 0, f"datagrams were lost: {result} {counts} {freezes} {lab.logs(job)[-500:]}")
        lab.run("kill", "-s", "KILL", job)
        lab.wait(job, 20)
        return f"{len(freezes)} moves, freezes to {max(freezes):.1f} ms: {result}; {counts}"

    def row(mechanism):
        def run(lab):
            return datagrams(lab, mechanism)
        run.__doc__ = f"five thousand datagrams a second to a job that moves, each answered, forwarding by {mechanism}"
        return run
    return {"datagrams-" + mechanism: row(mechanism) for mechanism in ("update", "origin", "traversal", "resend-notify", "resend")}
