"""Rows of tests/run about memory that travels by several connections."""
import os
import time

from control_rows import await_stage, begin_move, end_move, start_writer
from memory_rows import await_ready, end_well

PROGRAMS = ["versions", "memory", "layout", "guards", "memory_objects", "shared_objects", "reservations", "mappings", "huge_pages", "executes"]


def rows(check, programs, heap, nodes):
    def next_node(lab, job):
        return nodes[(nodes.index(lab.where(job)) + 1) % lab.nodes]

    def streams(lab):
        """every program that checks its memory moves by 1, 3 and 8 connections, and a writer of 50 MB/s"""
        flag = f"/shared/stop-streams-{time.time_ns()}"
        for name in PROGRAMS:
            lab.start(f"streams-{name}", os.path.join(programs, name), flag)
        for name in PROGRAMS:
            await_ready(lab, f"streams-{name}", check)
        start_writer(lab, "streams-heap", heap, "64", "50")
        notes = []
        for count in (1, 3, 8):
            for name in (*PROGRAMS, "heap"):
                job = f"streams-{name}"
                report = lab.move(job, next_node(lab, job), ("--memory", "hybrid", "--streams", str(count)))
                # What becomes another program in the midst of its rounds has nothing left of them to send.
                check(report["streams"] in ((1, count) if name == "executes" else (count,)), f"{name} travelled by {report['streams']} connections instead of {count}")
            peaks = report["workers_peak_bytes"]
            check(max(peaks.values()) < (64 + 2 * count) << 20,
                  f"{count} connections made the workers large: {peaks}")
            check(report["bytes_sent"] > 60e6, f"only {report['bytes_sent']} bytes were counted")
            notes.append(f"{count}: freeze {report['freeze_ms']:.1f} ms, total {report['total_ms']:.0f}, workers of {max(peaks.values()) >> 20} MiB")
        lab.run("kill", "-s", "USR1", "streams-heap")
        time.sleep(0.5)
        check("FAIL" not in lab.logs("streams-heap"), lab.logs("streams-heap")[-300:])
        lab.run("kill", "-s", "KILL", "streams-heap")
        for name in PROGRAMS:
            end_well(lab, f"streams-{name}", flag, check)
        return "; ".join(notes)

    def interrupted(lab, job, interrupt):
        """A move by four connections that something happens to in the midst of its rounds."""
        flag = f"/shared/stop-{job}"
        lab.start(job, os.path.join(programs, "memory"), flag)
        await_ready(lab, job, check)
        start_writer(lab, f"{job}-heap", heap, "128", "100")
        at, to = lab.where(job), next_node(lab, job)
        move = begin_move(lab, f"{job}-heap", to, "--memory", "precopy", "--streams", "4", "--bandwidth", "200mbit")
        check(await_stage(move, "rounds", lambda progress: progress["done_bytes"] > 20e6) is not None, "it had no rounds")
        interrupt(at, to)
        report = end_move(move, check)
        check(report["state"] == "failed" and lab.where(f"{job}-heap") == at, f"{report['state']}: {report['message']}")
        lab.run("kill", "-s", "USR1", f"{job}-heap")
        time.sleep(0.5)
        check("FAIL" not in lab.logs(f"{job}-heap"), lab.logs(f"{job}-heap")[-300:])
        lab.move(f"{job}-heap", to, ("--memory", "hybrid", "--streams", "4"))
        lab.run("kill", "-s", "KILL", f"{job}-heap")
        end_well(lab, job, flag, check)
        return report["message"]

    def streams_cancelled(lab):
        """a move by several connections is called off in the midst of a round; the program runs on and moves later"""
        return interrupted(lab, "streams-cancelled", lambda at, to: lab.run("cancel", "streams-cancelled-heap"))

    def streams_cut(lab):
        """one of several connections is cut in the midst of a round: the program runs on where it is and moves later"""
        def cut(at, _):
            listed = lab.shell(at, "ss -Htnp state established | grep godwit-worker").stdout.split("\n")
            ports = sorted(int(line.split()[2].rsplit(":", 1)[1]) for line in listed if line)
            check(len(ports) >= 5, f"connections of the source's worker: {listed}")
            lab.shell(at, f"ss -K state established sport = :{ports[-1]}")
        return interrupted(lab, "streams-cut", cut)

    return {"streams": streams, "streams-cancelled": streams_cancelled, "streams-cut": streams_cut}
