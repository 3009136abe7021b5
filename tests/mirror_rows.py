"""Rows of tests/run about memory that is on the source's disk while it is behind: the source may die."""
import os
import time

from control_rows import await_stage, begin_move, end_move
from memory_rows import await_ready, end_well

MIRRORS = "/var/lib/godwit/mirrors"


def children(pid):
    """Pids of all below a process, by parent."""
    below = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    below.setdefault(int(stat.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except OSError:
                pass  # it has ended
    found, todo = [], [pid]
    while todo:
        todo += (more := below.get(todo.pop(), []))
        found += more
    return found


def rows(check, programs, make_lab, nodes):
    def daemon_of(lab, node):
        return lab.status()[nodes.index(node)]["daemon_pid"]

    def workers(lab, node):
        def is_worker(pid):
            try:
                with open(f"/proc/{pid}/comm") as name:
                    return name.read().strip() == "godwit-worker"
            except OSError:
                return False
        return [pid for pid in children(daemon_of(lab, node)) if is_worker(pid)]

    def left_on_disk(lab, node):
        return lab.shell(node, f"ls {MIRRORS}").stdout.split()

    def until_all_is_here(lab, node, seconds=90):
        deadline = time.time() + seconds
        while left_on_disk(lab, node):
            check(time.time() < deadline, f"the mirror on {node} is still there: {left_on_disk(lab, node)}")
            time.sleep(0.2)

    def push(lab, job, to, *options):
        """A program of 64 MiB that checks its memory all the time, half of which is behind when this returns."""
        flag = f"/shared/stop-{job}-{time.time_ns()}"
        lab.start(job, os.path.join(programs, "returns"), flag, "64", "1")
        await_ready(lab, job, check)
        move = begin_move(lab, job, to, "--memory", "postcopy", "--bandwidth", "60mbit", *options)
        check(await_stage(move, "pushing", lambda progress: 0 < progress["left_bytes"] < 40 << 20) is not None, "nothing was left behind")
        return flag, move

    def mirror(lab):
        """the source's worker is killed while memory is behind, and another goes on with what it had written to disk"""
        at, to = nodes[0], nodes[1]
        flag, move = push(lab, "mirror", to, "--mirror")
        check(len(left_on_disk(lab, at)) == 1, f"mirrors on {at}: {left_on_disk(lab, at)}")
        victims = workers(lab, at)
        check(len(victims) == 1, f"workers: {victims}")
        os.kill(victims[0], 9)
        report = end_move(move, check)
        check(report["state"] == "moved" and "mirror" in report["warning"], f"{report['state']}: {report}")
        until_all_is_here(lab, at)
        end_well(lab, "mirror", flag, check)
        flag, move = push(lab, "mirror-whole", to, "--mirror")
        report = end_move(move, check)
        check(report["pages"]["mirrored"] > 15000 and left_on_disk(lab, at) == [], f"{report['pages']}; {left_on_disk(lab, at)}")
        end_well(lab, "mirror-whole", flag, check)
        flag = f"/shared/stop-{time.time_ns()}"
        lab.start("mirror-none", os.path.join(programs, "returns"), flag, "8", "1")
        await_ready(lab, "mirror-none", check)
        none = lab.move("mirror-none", to, ("--memory", "hybrid", "--mirror"))
        check(none["pages"]["mirrored"] == none["pages"]["pushed"] + none["pages"]["on_request"] == 0, f"{none['pages']}")
        check(left_on_disk(lab, at) == [], f"{left_on_disk(lab, at)}")
        end_well(lab, "mirror-none", flag, check)
        return f"{report['pages']['mirrored']} pages written in {report['phases_ms'].get('source_memory', 0):.0f} ms of {report['freeze_ms']:.0f} frozen"

    def mirror_crash(_):
        """everything of the source node is killed while memory is behind; when the node is up again the job gets the rest"""
        with make_lab("mirror", nodes=2) as lab:
            flag, move = push(lab, "crash", "node2", "--mirror")
            daemon = daemon_of(lab, "node1")
            victims = [daemon, *children(daemon)]
            for pid in victims:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass  # one of those before was its end, too
            move.communicate(timeout=60)
            time.sleep(3)  # the job stands still, or computes with what it has
            check(len(left_on_disk(lab, "node1")) == 1, f"{left_on_disk(lab, 'node1')}")
            lab.run("lab", "start", "node1")
            until_all_is_here(lab, "node1")
            check(lab.where("crash") == "node2", "it is elsewhere")
            end_well(lab, "crash", flag, check)
        return f"{len(victims)} processes killed"

    def mirror_faults(_):
        """wherever a move with a mirror fails: the job runs on, with all its memory, and the mirror goes"""
        where = {}
        for name in ("source.state_sent.kill", "source.memory_sent.kill", "source.ready.kill", "source.pushing.kill", "source.pushing.cut",
                     "destination.ready.kill", "destination.ready.cut", "source.committed.kill"):
            with make_lab("mirrorfault", fault=name, nodes=2) as lab:
                def named(passed, text, name=name):
                    check(passed, f"{name}: {text}")
                flag = f"/shared/stop-{time.time_ns()}"
                lab.start("victim", os.path.join(programs, "returns"), flag, "24", "1")
                await_ready(lab, "victim", check)
                lab.run("move", "victim", "--to", "node2", "--memory", "postcopy", "--mirror", ok=None, timeout=90)
                until_all_is_here(lab, "node1")
                where[name] = lab.where("victim")
                end_well(lab, "victim", flag, named)
        check(where["source.pushing.kill"] == where["source.pushing.cut"] == "node2", f"{where}")
        return ", ".join(f"{name}: {node}" for name, node in where.items())

    return {"mirror": mirror, "mirror-crash": mirror_crash, "mirror-faults": mirror_faults}
