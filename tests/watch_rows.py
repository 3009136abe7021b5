"""Rows of tests/run for real programs that watch: files by inotify, the network by raw sockets."""
import re
import time

WRITER = """
import os, sys, time
n = 0
with open(sys.argv[1], "a", buffering=1) as log:
    while not os.path.exists(sys.argv[2]):
        n += 1
        print("line", n, file=log)
        time.sleep(0.01)
    time.sleep(0.1)
    print("end of", n, file=log)
"""


def rows(check, average, python):
    def wait_until(condition, text, seconds=20):
        deadline = time.time() + seconds
        while not condition():
            check(time.time() < deadline, text)
            time.sleep(0.05)

    def row_tail(lab):
        """tail -f follows a file that another node writes, and one that its own job writes"""
        freezes = []
        lab.file("/shared/writer.py", WRITER)
        for outside in (True, False):
            job, stop = ("tail-outside", "/shared/stop-outside") if outside else ("tail-inside", "/shared/stop-inside")
            log = f"/shared/{job}.log"
            lab.shell("node1", f"rm -f {stop}; : > {log}")
            writer = f"{python} /shared/writer.py {log} {stop}"
            lab.start(job, "sh", "-c", f"exec tail -n +1 -f {log}" if outside else f"{writer} & exec tail -n +1 -f {log}")
            elsewhere = lab.popen("lab", "exec", "node3", "--", *writer.split()) if outside else None
            wait_until(lambda: "line 20\n" in lab.logs(job), "no line comes")
            freezes += lab.hop(job, 10)
            seen = lab.run("exec", job, "--", "sh", "-c", "ls -l /proc/[0-9]*/fd | grep -c inotify").stdout
            check(int(seen) >= 1, "it does not use inotify")
            lab.shell("node1", f"touch {stop}")
            wait_until(lambda: "end of" in lab.logs(job), "the last line does not come: " + lab.logs(job)[-200:])
            lines = lab.logs(job).splitlines()
            count = int(lines[-1].split()[-1])
            check(lines[:-1] == [f"line {n}" for n in range(1, count + 1)], f"lines are missing: {len(lines)} of {count}")
            lab.run("kill", "-s", "KILL", job)
            if elsewhere:
                check(elsewhere.wait(20) == 0, "the writer failed")
        return f"freeze {average(freezes):.1f} ms on average"

    def row_ping(lab):
        """ping of another node goes on counting, by a raw socket and by one of ICMP"""
        notes = []
        address = re.search(r"inet (\d+\.\d+\.\d+\.3)/", lab.shell("node3", "ip -4 -o addr").stdout)[1]
        for job, before in (("ping-raw", "true"), ("ping-icmp", "echo 0 0 > /proc/sys/net/ipv4/ping_group_range")):
            lab.start(job, "sh", "-c", f"{before}; exec ping -i 0.05 {address}")
            wait_until(lambda: "icmp_seq=10 " in lab.logs(job), "no answer: " + lab.logs(job)[-300:])
            kind = lab.run("exec", job, "--", "sh", "-c", "tail -n +2 /proc/net/icmp | wc -l").stdout.strip()
            check(kind == ("0" if job == "ping-raw" else "1"), f"{kind} sockets of ICMP")
            freezes = lab.hop(job, 10)
            time.sleep(0.3)
            lab.run("kill", "-s", "INT", job)
            check(lab.wait(job, 10) == 0, "ping failed")
            output = lab.logs(job)
            sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", output).groups())
            numbers = [int(n) for n in re.findall(r"icmp_seq=(\d+) ", output)]
            check(len(set(numbers)) >= sent - 2 and "DUP" not in output, f"{sent} sent, {received} received: {output[-600:]}")
            notes.append(f"{job}: {sent} sent, {received} received, freeze {average(freezes):.1f} ms on average")
        return "; ".join(notes)

    return {"tail": row_tail, "ping": row_ping}
