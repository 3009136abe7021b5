"""Rows of tests/run about pages that the destination has already, or nearly: what need not travel does not."""
import os
import time

MIB = 1 << 20


def rows(check, programs, make_lab):
    """The rows by name; `check` and `make_lab` are tests/run's own."""

    def start(lab, job, program, *arguments):
        lab.start(job, os.path.join(programs, program), f"/shared/stop-{job}", *arguments)
        deadline = time.time() + 60
        while "ready" not in lab.logs(job):
            check(time.time() < deadline, "never ready: " + lab.logs(job))
            time.sleep(0.05)

    def end(lab, job):
        lab.shell("node1", f"touch /shared/stop-{job}")
        code = lab.wait(job, 60)
        check(code == 0 and lab.logs(job).rstrip().endswith("PASS"), f"exit {code}: {lab.logs(job)[-500:]}")

    def cache_on(lab, node):
        return lab.shell(node, "ls /var/lib/godwit/page-cache").stdout.split()

    def identical_of(kinds):
        notes = []
        with make_lab("same", nodes=2, link="200mbit") as lab:
            for kind in kinds:
                job = f"same-{kind}"
                start(lab, job, "same_pages", kind)
                report = lab.move(job, "node2")
                time.sleep(0.2)
                end(lab, job)
                memory, pages = report["pages"]["total"] * 4096, report["pages"]
                check(pages["identical"] > pages["total"] / 2, f"{kind}: only {pages}")
                check(report["bytes_sent"] < memory / 2, f"{kind}: {report['bytes_sent'] // MIB} of {memory // MIB} MiB were sent")
                notes.append(f"{kind}: {pages['identical']} of {pages['total']} pages by reference, {report['bytes_sent'] // MIB} of {memory // MIB} MiB sent")
        return "; ".join(notes)

    def identical(_):
        """by a link of 200 Mbit/s: of pages with the same content, in two processes, few travel"""
        return identical_of(["private"])

    def identical_objects(_):
        """the same of two memory objects with the same content"""
        return identical_of(["memfd", "shared"])

    def comes_back_of(lab, kind, mib):
        """Moves there and back; returns both reports."""
        job = f"back-{kind}"
        start(lab, job, "returns", str(mib), "200", kind)
        there = lab.move(job, "node2", ("--cache",))
        check(len(cache_on(lab, "node1")) == 1, "node1 has no cache of what left it")
        back = lab.move(job, "node1", ("--cache",))
        check(cache_on(lab, "node1") == [], "what the job left is still there although the job is back")
        end(lab, job)
        sent = [report["bytes_sent"] for report in (there, back)]
        check(sent[1] < sent[0] / 10, f"{kind}: MiB sent: {[each // MIB for each in sent]}")
        check(back["pages"]["cached"] > mib * 225, f"{kind}: {back['pages']}")
        return f"{kind}: {sent[0] / MIB:.0f} MiB there, {sent[1] / MIB:.1f} back; {there['total_ms']:.0f} and {back['total_ms']:.0f} ms, freeze {back['freeze_ms']:.1f}"

    def comes_back(lab):
        """200 MiB go and come back with --cache: more than 90 % of them do not travel again"""
        return comes_back_of(lab, "private", 200)

    def objects_come_back(lab):
        """the same of 100 MiB in a memfd, in shared anonymous memory and in a System V segment"""
        return "; ".join(comes_back_of(lab, kind, 100) for kind in ("memfd", "shared", "segment"))

    def tampered(lab):
        """a cache that was written to, cut off, or put in the place of another costs time, and no content is lost"""
        return "; ".join(tampered_of(lab, kind) for kind in ("private", "memfd"))

    def tampered_of(lab, kind):
        job = f"tampered-{kind}"
        start(lab, job, "returns", "40", "200", kind)
        path = "/var/lib/godwit/page-cache/"
        notes = []
        for name, harm in (("one byte in each page", "import sys; f = open(sys.argv[1], 'r+b'); b = bytearray(f.read(8000 * 4096))\n"
                            "for i in range(4096 + 700, len(b), 4096): b[i] ^= 1\nf.seek(0); f.write(b)"),
                           ("cut off", "import os, sys; os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) // 2)"),
                           ("digests of others", "import os, sys; f = open(sys.argv[1], 'r+b'); n = os.path.getsize(sys.argv[1]) // 2\n"
                            "f.seek(4096); b = f.read(n); f.seek(4096); f.write(b[4096:] + b[:4096])")):
            lab.move(job, "node2", ("--cache",))
            lab.file("/shared/harm.py", harm)
            lab.shell("node1", f"python3 /shared/harm.py {path}*")
            report = lab.move(job, "node1", ("--cache",))
            check(report["bytes_sent"] > 8 * MIB, f"{name}: only {report['bytes_sent']} bytes were sent: was the harm done?")
            notes.append(f"{name}: {report['bytes_sent'] / MIB:.0f} MiB sent")
        end(lab, job)
        return f"{kind}: " + "; ".join(notes)

    def few_bytes_of(kind):
        with make_lab("few", nodes=2, link="200mbit") as lab:
            start(lab, "few", "few_bytes", kind)
            reports = [lab.move("few", to, ("--memory", method, "--on-timeout", "freeze"))
                       for to, method in (("node2", "precopy"), ("node1", "hybrid"), ("node2", "hybrid"))]
            end(lab, "few")
        for report in reports:
            pages = report["pages"]["by_delta"]
            check(pages > 1000 and report["delta_bytes"] < pages * 4096 / 10, f"{pages} pages as {report['delta_bytes']} bytes")
            check(report["freeze_ms"] < 320, f"half of what 4,000 whole pages take by this link: {report['freeze_ms']} ms")
        return f"{kind}: " + ", ".join(f"{each['method']} {each['pages']['by_delta']} pages as {each['delta_bytes'] >> 10} KiB, freeze {each['freeze_ms']:.1f} ms" for each in reports)

    def few_bytes(_):
        """by a link of 200 Mbit/s: a few bytes of 4,000 pages are written all the time, and differences travel"""
        return few_bytes_of("private")

    def few_bytes_of_objects(_):
        """the same of pages of memory objects"""
        return "; ".join(few_bytes_of(kind) for kind in ("memfd", "shared"))

    return {"identical-pages": identical, "identical-objects": identical_objects, "comes-back": comes_back, "objects-come-back": objects_come_back,
            "tampered-cache": tampered, "few-bytes": few_bytes, "few-bytes-of-objects": few_bytes_of_objects}
