"""Rows of tests/run about memory: how much of it, and how it is shared."""
import ctypes
import json
import os
import time

SHARERS = """
import mmap, os, random, sys, time
PAGES, WORKERS = 65536, 8
memory = mmap.mmap(-1, PAGES * 4096)
memory[:] = os.urandom(PAGES * 4096)
def work(worker):
    said = {}
    while not os.path.exists(sys.argv[1]):
        for _ in range(10):
            page = random.randrange(PAGES // WORKERS) * WORKERS + worker
            said[page] = os.urandom(8)
            memory[page * 4096:page * 4096 + 8] = said[page]
        page = random.choice(list(said))
        assert memory[page * 4096:page * 4096 + 8] == said[page], page
        time.sleep(0.01)
    assert all(memory[page * 4096:page * 4096 + 8] == word for page, word in said.items())
    os._exit(0)
children = []
for worker in range(WORKERS):
    children.append(os.fork())
    if children[-1] == 0: work(worker)
print("ready", flush=True)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
print("PASS", flush=True)
"""


def share_mount(path, of, into):
    """Mounts what is mounted at `path` for the process `of` at the same path for the process `into`."""
    open_tree, move_mount, at_fdcwd, new_mount_namespace = 428, 429, -100, 0x20000
    clone, empty_path = 1, 4  # linux/mount.h: OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = [os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY) for pid in (of, into)]
    child = os.fork()
    if child == 0:
        done = libc.setns(spaces[0], new_mount_namespace) == 0
        tree = libc.syscall(open_tree, at_fdcwd, path.encode(), clone)
        done = done and tree >= 0 and libc.setns(spaces[1], new_mount_namespace) == 0
        done = done and libc.syscall(move_mount, tree, b"", at_fdcwd, path.encode(), empty_path) == 0
        os._exit(0 if done else ctypes.get_errno())
    for space in spaces:
        os.close(space)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def await_ready(lab, job, check, seconds=60):
    deadline = time.time() + seconds
    while "ready" not in lab.logs(job):
        check(time.time() < deadline, "never ready: " + lab.logs(job))
        time.sleep(0.05)


def end_well(lab, job, flag, check):
    lab.shell("node1", f"touch {flag}")
    code = lab.wait(job, 60)
    check(code == 0 and lab.logs(job).rstrip().endswith("PASS"), f"exit {code}: {lab.logs(job)[-500:]}")


def rows(check, programs, nodes, skipped):
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

    def shared_memory(lab):
        """256 MiB shared by eight workers that write to it: all but a little travels in the rounds"""
        lab.file("/shared/sharers.py", SHARERS)
        lab.start("sharers", "/usr/bin/python3", "/shared/sharers.py", "/shared/stop-sharers")
        await_ready(lab, "sharers", check)
        notes = []
        for _ in range(3):
            lab.move("sharers", next_node(lab, "sharers"), ("--memory", "hybrid"))
            report = json.loads(lab.run("report", "sharers", "--json").stdout)
            sent = report["pages"]["sent"] * 4096
            at_last = sent - sum(each["bytes"] for each in report["rounds_made"])
            check(sent > 256 << 20 and at_last < 25 << 20, f"{at_last >> 20} of {sent >> 20} MiB were not sent in rounds")
            notes.append(f"freeze {report['freeze_ms']:.0f} ms, {at_last >> 10} KiB of {sent >> 20} MiB not in rounds")
        end_well(lab, "sharers", "/shared/stop-sharers", check)
        return "; ".join(notes)

    def left_little(lab):
        """two hundred threads with a few pages each: rounds are cut short, and hardly anything is left to post-copy"""
        flag = "/shared/stop-left-little"
        lab.start("left-little", os.path.join(programs, "futexes"), flag, "200")
        await_ready(lab, "left-little", check)
        moves = [lab.move("left-little", next_node(lab, "left-little"), ("--memory", "hybrid", "--max-freeze", "0.1ms", "--max-rounds", "2"))
                 for _ in range(6)]
        end_well(lab, "left-little", flag, check)
        behind = [report["pages"]["pushed"] + report["pages"]["on_request"] for report in moves]
        longest = max(report["total_ms"] for report in moves)
        check(longest < 20000, f"a move took {longest:.0f} ms")
        return f"pages left behind: {behind}, longest move {longest:.0f} ms"

    def pool_of_huge_pages(pages):
        class Pool:
            path = "/proc/sys/vm/nr_hugepages"

            def set(self, pages):
                with open(self.path, "w", encoding="ascii") as file:
                    file.write(str(pages))

            def __enter__(self):
                with open(self.path, encoding="ascii") as file:
                    self.before = file.read()
                self.set(int(self.before) + pages)
                return self

            def __exit__(self, *_):
                self.set(self.before)
        return Pool()

    def pages_free():
        with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", encoding="ascii") as file:
            return int(file.read())

    def await_pages(free):
        deadline = time.time() + 10
        while pages_free() < free and time.time() < deadline:
            time.sleep(0.05)
        check(pages_free() >= free, f"{free - pages_free()} pages of the pool are not given back")

    def hugetlb(lab):
        """memory from the pool of huge pages moves by every method, and goes back to the pool; without room it is refused"""
        flag = "/shared/stop-hugetlb"
        unhurried = {"precopy": ("--on-timeout", "freeze")}  # a word that is written makes 2 MiB to send
        with pool_of_huge_pages(48) as pool:
            if pages_free() < 48:
                raise skipped("the kernel cannot find 48 huge pages")
            free = pages_free()
            lab.start("hugetlb", os.path.join(programs, "hugetlb"), flag)
            await_ready(lab, "hugetlb", check)
            check("too few" not in lab.logs("hugetlb") and "no segment" not in lab.logs("hugetlb"), lab.logs("hugetlb"))
            freezes = []
            for method in ("total", "precopy", "postcopy", "hybrid") * lab.longer:
                report = lab.move("hugetlb", next_node(lab, "hugetlb"), ("--memory", method, *unhurried.get(method, ())))
                freezes.append(f"{method} {report['freeze_ms']:.1f} ms")
            pool.set(20)  # what the program has is not taken away
            done = lab.run("move", "hugetlb", "--to", next_node(lab, "hugetlb"), "--json", ok=(3,))
            refused = json.loads(done.stdout.splitlines()[0])["refusals"]
            check([each["code"] for each in refused] == ["memory.hugetlb"], f"refused for {refused}")
            end_well(lab, "hugetlb", flag, check)
            pool.set(int(pool.before) + 48)
            await_pages(free)
        return "freeze by " + ", ".join(freezes)

    def refused_codes(lab, job, to, tries=5):
        done = lab.run("move", job, "--to", to, "--json", ok=(3,))
        codes = {each["code"] for each in json.loads(done.stdout.splitlines()[0])["refusals"]}
        if not codes and tries > 1:  # the move before is not quite over
            time.sleep(0.2)
            return refused_codes(lab, job, to, tries - 1)
        check(codes, f"nothing is in the way: {done.stdout.strip()} {done.stderr.strip()}")
        return codes

    def hugetlb_files(lab):
        """files on hugetlbfs move by every method, to another mount and to the same one; elsewhere they are refused"""
        place, flag = "/hugetlb-files", "/shared/stop-hugetlb-files"
        unhurried = {"precopy": ("--on-timeout", "freeze")}
        mount = f"mkdir -p {place} && mount -t hugetlbfs -o pagesize=2M none {place}"

        def names(node):  # but of what is being replaced
            return lab.shell(node, f"ls -A {place} | grep -v ^replaced", ok=(0, 1)).stdout.split()

        def move(job, method, tries=20):
            try:
                return lab.move(job, next_node(lab, job), ("--memory", method, *unhurried.get(method, ())))
            except Exception as failed:  # the program has just replaced a file by another
                if "meanwhile; move the job again" not in str(failed) or tries == 1:
                    raise
            return move(job, method, tries - 1)

        def moves(job):
            freezes = []
            for method in ("total", "precopy", "postcopy", "hybrid") * lab.longer:
                at = lab.where(job)
                report = move(job, method)
                freezes.append(f"{method} {report['freeze_ms']:.1f} ms")
                there = names(lab.where(job))
                check(there == ["base", "closed", "open", "shorter", "unmapped"], f"other names: {there}")
                check(names(at) == ([] if job == "moving" else there), f"left on {at}: {names(at)}")
            return ", ".join(freezes)

        def start(job):
            lab.start(job, os.path.join(programs, "hugetlb_files"), f"{flag}-{job}", place)
            await_ready(lab, job, check)

        with pool_of_huge_pages(48):
            if pages_free() < 48:
                raise skipped("the kernel cannot find 48 huge pages")
            free = pages_free()
            for node in nodes[:lab.nodes]:
                lab.shell(node, mount)
            start("moving")
            notes = "to another mount: " + moves("moving")
            to = next_node(lab, "moving")
            lab.shell(to, f"touch {place}/open")
            codes = refused_codes(lab, "moving", to)
            check(codes == {"files.conflict"}, f"a file of another was not seen: {codes}")
            lab.shell(to, f"umount {place}")
            check(refused_codes(lab, "moving", to) == {"memory.hugetlb_file"}, "moved to where there is no hugetlbfs")
            lab.shell(to, f"mount -t hugetlbfs -o pagesize=2M,size=2M none {place}")
            check(refused_codes(lab, "moving", to) == {"memory.hugetlb_file"}, "moved to a mount that is too small")
            end_well(lab, "moving", flag + "-moving", check)
            lab.shell(to, f"umount {place}")
            lab.shell(to, mount)
            for node in nodes[:lab.nodes]:  # those that came into use during a move
                lab.shell(node, f"rm -f {place}/replaced")
            await_pages(free)
            inits = [node["init_pid"] for node in lab.status()]
            for node, init in zip(nodes[1:lab.nodes], inits[1:]):
                lab.shell(node, f"umount {place}")
                failed = share_mount(place, inits[0], init)
                check(failed == 0, f"the mount cannot be shared: {os.strerror(failed)}")
            start("staying")
            notes += "; to the same one: " + moves("staying")
            end_well(lab, "staying", flag + "-staying", check)
            await_pages(free)
        return "freeze " + notes

    return {"hugetlb": hugetlb, "hugetlb-files": hugetlb_files, "many-mappings": many_mappings, "shared-memory": shared_memory, "left-little": left_little}
