"""Rows of tests/run about memory: how much of it, and how it is shared."""
import os
import time


def await_ready(lab, job, check, seconds=60):
    deadline = time.time() + seconds
    while "ready" not in lab.logs(job):
        check(time.time() < deadline, "never ready: " + lab.logs(job))
        time.sleep(0.05)


def end_well(lab, job, flag, check):
    lab.shell("node1", f"touch {flag}")
    code = lab.wait(job, 60)
    check(code == 0 and lab.logs(job).rstrip().endswith("PASS"), f"exit {code}: {lab.logs(job)[-500:]}")


def rows(check, programs, nodes):
    def next_node(lab, job):
        return nodes[(nodes.index(lab.where(job)) + 1) % lab.nodes]

    def many_mappings(lab):
        """a program with a hundred thousand mappings moves within half a minute"""
        limit = "/proc/sys/vm/max_map_count"
        with open(limit, encoding="ascii") as file:
            before = file.read()
        with open(limit, "w", encoding="ascii") as file:
            file.write(str(max(int(before), 262144)))
        try:
            flag = "/shared/stop-many-mappings"
            lab.start("many-mappings", os.path.join(programs, "mappings"), flag, "100000")
            await_ready(lab, "many-mappings", check)
            reports = [lab.move("many-mappings", next_node(lab, "many-mappings"), ("--memory", method)) for method in ("hybrid", "total")]
            end_well(lab, "many-mappings", flag, check)
        finally:
            with open(limit, "w", encoding="ascii") as file:
                file.write(before)
        slowest = max(report["total_ms"] for report in reports)
        check(slowest < 30000, f"{slowest:.0f} ms")
        return ", ".join(f"{report['method']}: freeze {report['freeze_ms']:.0f} ms of {report['total_ms']:.0f}" for report in reports)

    return {"many-mappings": many_mappings}
