// Writes a godwit_task_record for every thread that the task iterator visits. Only what no system call tells from
// outside, and what tells whether earlier answers still hold. Types are the kernel's own, cut down to the fields used;
// where they stand is filled in when the program is loaded, from the running kernel's BTF. Source:
// include/linux/sched.h, restart_block.h.
// clang-format off: the first header must come first, and the types below read best one to a line
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "task_record.h"

typedef unsigned int u32;
typedef unsigned long long u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct idr { unsigned int idr_next; };
struct pid_namespace { struct idr idr; };
struct upid { int nr; struct pid_namespace* ns; };
struct pid { unsigned int level; struct upid numbers[]; };
struct cred { unsigned int securebits; };
typedef struct { unsigned long sig[1]; } sigset_t;
struct sigpending { sigset_t signal; };
struct hlist_node;
struct hlist_head { struct hlist_node* first; };
struct hrtimer { unsigned char state; };
struct cpu_itimer { u64 expires, incr; };
struct signal_struct {
  struct sigpending shared_pending;
  unsigned int is_child_subreaper : 1;
  struct hlist_head posix_timers;  // a list_head in older kernels
  struct hrtimer real_timer;
  long long it_real_incr;
  struct cpu_itimer it[2];
};
struct sigaction { void* sa_handler; unsigned long sa_flags; void* sa_restorer; sigset_t sa_mask; };
struct k_sigaction { struct sigaction sa; };
struct sighand_struct { struct k_sigaction action[64]; };
struct fs_struct { int umask; };
struct mm_flags { unsigned long __mm_flags[1]; };
typedef struct { unsigned short pkey_allocation_map; short execute_only_pkey; } mm_context_t;
struct mm_struct { unsigned long brk; struct mm_flags flags; mm_context_t context; };
struct mm_struct___one_word { unsigned long flags; };
struct sched_entity { u64 sum_exec_runtime, prev_sum_exec_runtime; };
struct sched_info { unsigned long long last_arrival; };
enum timespec_type { TT_NONE, TT_NATIVE, TT_COMPAT };
struct restart_block {
  long (*fn)(struct restart_block*);
  union {
    struct { u32* uaddr; u32 val; u32 flags; u32 bitset; u64 time; } futex;
    struct { int clockid; enum timespec_type type; union { void* rmtp; }; u64 expires; } nanosleep;
    struct { void* ufds; int nfds; int has_timeout; unsigned long tv_sec; unsigned long tv_nsec; } poll;
  };
};
struct file_lock_context;
struct super_block { unsigned int s_dev; };
struct inode { unsigned long i_ino; struct file_lock_context* i_flctx; struct super_block* i_sb; };
struct file_operations;
struct file {
  unsigned int f_flags;
  long long f_pos;
  struct inode* f_inode;
  const struct file_operations* f_op;
  void* private_data;
};
struct eventfd_ctx { u64 count; unsigned int flags; };
struct pipe_inode_info { unsigned int head, tail, max_usage; };
struct fdtable { unsigned int max_fds; unsigned long* close_on_exec; };
struct files_struct { struct fdtable* fdt; };
struct pt_regs { unsigned long r10, r9, r8, dx, si, di, orig_ax, ip, sp; };
struct task_struct {
  unsigned int __state;
  int pid;
  int pdeath_signal;
  unsigned restore_sigmask : 1;
  struct sched_entity se;
  unsigned int policy, rt_priority;
  struct sched_info sched_info;
  unsigned long atomic_flags;
  struct restart_block restart_block;
  struct pid* thread_pid;
  struct task_struct* group_leader;
  int* clear_child_tid;
  unsigned long nvcsw, nivcsw;
  const struct cred* real_cred;
  char comm[16];
  struct mm_struct* mm;
  struct fs_struct* fs;
  struct files_struct* files;
  struct signal_struct* signal;
  struct sighand_struct* sighand;
  sigset_t blocked, saved_sigmask;
  struct sigpending pending;
  unsigned long sas_ss_sp, sas_ss_size;
  unsigned int sas_ss_flags;
  u64 timer_slack_ns;
};
struct bpf_iter_meta { struct seq_file* seq; };
struct bpf_iter__task { struct bpf_iter_meta* meta; struct task_struct* task; };
struct bpf_iter__task_file { struct bpf_iter_meta* meta; struct task_struct* task; u32 fd; struct file* file; };

#pragma clang attribute pop
// clang-format on

char program_license[] SEC("license") = "Dual BSD/GPL";

#define MAX_LEVELS 32 /* MAX_PID_NS_LEVEL, include/linux/pid_namespace.h */

// The number of `pid` in the namespace `ns` at nesting depth `level`; 0 when it has none there.
static __always_inline int number_in(struct pid* pid, struct pid_namespace* ns, unsigned int level) {
  struct upid number;
  if (!pid || level >= MAX_LEVELS || BPF_CORE_READ(pid, level) < level) return 0;
  if (bpf_core_read(&number, sizeof(number), &pid->numbers[level])) return 0;
  return number.ns == ns ? number.nr : 0;
}

// The number of `pid` in its own namespace.
static __always_inline int innermost_number(struct pid* pid) {
  struct upid number;
  unsigned int level = BPF_CORE_READ(pid, level);
  if (level >= MAX_LEVELS || bpf_core_read(&number, sizeof(number), &pid->numbers[level])) return 0;
  return number.nr;
}

// The cursor from which the namespace of `pid` gives the next number (kernel/pid.c, alloc_pid).
static __always_inline unsigned int next_number(struct pid* pid) {
  struct upid number;
  unsigned int level = BPF_CORE_READ(pid, level);
  if (level >= MAX_LEVELS || bpf_core_read(&number, sizeof(number), &pid->numbers[level])) return 0;
  return BPF_CORE_READ(number.ns, idr.idr_next);
}

static __always_inline void read_restart_block(struct task_struct* task, struct godwit_task_record* record) {
  u64 function = (u64)BPF_CORE_READ(task, restart_block.fn);
  static const char format[] = "%ps";
  bpf_snprintf(record->restart_function, sizeof record->restart_function, format, &function, sizeof function);
  record->nanosleep_clock = BPF_CORE_READ(task, restart_block.nanosleep.clockid);
  record->nanosleep_type = BPF_CORE_READ(task, restart_block.nanosleep.type);
  record->nanosleep_rest = (u64)BPF_CORE_READ(task, restart_block.nanosleep.rmtp);
  record->nanosleep_expires = BPF_CORE_READ(task, restart_block.nanosleep.expires);
  record->futex_address = (u64)BPF_CORE_READ(task, restart_block.futex.uaddr);
  record->futex_value = BPF_CORE_READ(task, restart_block.futex.val);
  record->futex_flags = BPF_CORE_READ(task, restart_block.futex.flags);
  record->futex_bitset = BPF_CORE_READ(task, restart_block.futex.bitset);
  record->futex_expires = BPF_CORE_READ(task, restart_block.futex.time);
  record->poll_descriptors = (u64)BPF_CORE_READ(task, restart_block.poll.ufds);
  record->poll_count = BPF_CORE_READ(task, restart_block.poll.nfds);
  record->poll_has_timeout = BPF_CORE_READ(task, restart_block.poll.has_timeout);
  record->poll_seconds = BPF_CORE_READ(task, restart_block.poll.tv_sec);
  record->poll_nanoseconds = BPF_CORE_READ(task, restart_block.poll.tv_nsec);
}

static __always_inline void read_thread(struct task_struct* task, struct godwit_task_record* record) {
  const struct cred* credentials = BPF_CORE_READ(task, real_cred);
  record->credentials_identity = (u64)credentials;
  record->securebits = BPF_CORE_READ(credentials, securebits);
  record->no_new_privs = BPF_CORE_READ(task, atomic_flags) & 1; /* PFA_NO_NEW_PRIVS */
  record->clear_child_tid = (u64)BPF_CORE_READ(task, clear_child_tid);
  record->alternate_stack = BPF_CORE_READ(task, sas_ss_sp);
  record->alternate_stack_size = BPF_CORE_READ(task, sas_ss_size);
  record->alternate_stack_flags = BPF_CORE_READ(task, sas_ss_flags);
  record->timer_slack = BPF_CORE_READ(task, timer_slack_ns);
  record->parent_death_signal = BPF_CORE_READ(task, pdeath_signal);
  record->thread_pending = BPF_CORE_READ(task, pending.signal.sig[0]);
  record->process_pending = BPF_CORE_READ(task, signal, shared_pending.signal.sig[0]);
  // sigsuspend, ppoll and their like lend the thread another mask while they wait
  int lent = BPF_CORE_READ_BITFIELD_PROBED(task, restore_sigmask);
  record->blocked = lent ? BPF_CORE_READ(task, saved_sigmask.sig[0]) : BPF_CORE_READ(task, blocked.sig[0]);
  record->state = BPF_CORE_READ(task, __state);
  record->scheduling_policy = BPF_CORE_READ(task, policy);
  record->scheduling_priority = BPF_CORE_READ(task, rt_priority);
  BPF_CORE_READ_STR_INTO(&record->name, task, comm);
}

static __always_inline void read_wait(struct task_struct* task, struct godwit_task_record* record) {
  record->switches = BPF_CORE_READ(task, nvcsw) + BPF_CORE_READ(task, nivcsw);
  record->last_start = BPF_CORE_READ(task, sched_info.last_arrival);
  record->ran_since = BPF_CORE_READ(task, se.sum_exec_runtime) - BPF_CORE_READ(task, se.prev_sum_exec_runtime);
  struct pt_regs* registers = (struct pt_regs*)bpf_task_pt_regs(task);
  record->instruction = BPF_CORE_READ(registers, ip);
  record->stack = BPF_CORE_READ(registers, sp);
  record->call_number = BPF_CORE_READ(registers, orig_ax);
  record->arguments[0] = BPF_CORE_READ(registers, di);
  record->arguments[1] = BPF_CORE_READ(registers, si);
  record->arguments[2] = BPF_CORE_READ(registers, dx);
  record->arguments[3] = BPF_CORE_READ(registers, r10);
  record->arguments[4] = BPF_CORE_READ(registers, r8);
  record->arguments[5] = BPF_CORE_READ(registers, r9);
}

SEC("iter/task")
int write_task(struct bpf_iter__task* context) {
  struct task_struct* task = context->task;
  if (!task) return 0;
  struct pid* reader = BPF_CORE_READ(bpf_get_current_task_btf(), thread_pid);
  unsigned int level = BPF_CORE_READ(reader, level);
  if (level >= MAX_LEVELS) return 0;
  struct upid own;
  if (bpf_core_read(&own, sizeof(own), &reader->numbers[level])) return 0;

  struct godwit_task_record record = {};
  record.tid = number_in(BPF_CORE_READ(task, thread_pid), own.ns, level);
  record.pid = number_in(BPF_CORE_READ(task, group_leader, thread_pid), own.ns, level);
  if (!record.tid || !record.pid) return 0;
  record.inner_tid = innermost_number(BPF_CORE_READ(task, thread_pid));
  record.next_pid = next_number(BPF_CORE_READ(task, thread_pid));
  read_thread(task, &record);
  read_wait(task, &record);
  read_restart_block(task, &record);
  record.now_monotonic = bpf_ktime_get_ns();
  bpf_seq_write(context->meta->seq, &record, sizeof(record));
  return 0;
}

// Whether interval or POSIX timers are set, or might be.
static __always_inline unsigned int timers_of(struct signal_struct* signal) {
  if (!bpf_core_field_exists(signal->posix_timers.first)) return 1;
  if (BPF_CORE_READ(signal, posix_timers.first) || BPF_CORE_READ(signal, it_real_incr)) return 1;
  if (BPF_CORE_READ(signal, real_timer.state)) return 1;
  for (int which = 0; which < 2; ++which) {
    if (BPF_CORE_READ(signal, it[which].expires) || BPF_CORE_READ(signal, it[which].incr)) return 1;
  }
  return 0;
}

static __always_inline unsigned int dumpable_of(struct mm_struct* mm) {
  unsigned long flags = bpf_core_field_exists(mm->flags.__mm_flags)
                            ? BPF_CORE_READ(mm, flags.__mm_flags[0])
                            : BPF_CORE_READ((struct mm_struct___one_word*)mm, flags);
  return flags & 3; /* MMF_DUMPABLE_MASK, include/linux/mm_types.h */
}

#define SIGNALS 64
#define SA_IMMUTABLE 0x00800000 /* the kernel's own, include/linux/signal_types.h */

SEC("iter/task")
int write_process(struct bpf_iter__task* context) {
  struct task_struct* task = context->task;
  if (!task || BPF_CORE_READ(task, group_leader) != task) return 0;
  struct mm_struct* mm = BPF_CORE_READ(task, mm);
  struct sighand_struct* handlers = BPF_CORE_READ(task, sighand);
  struct fs_struct* fs = BPF_CORE_READ(task, fs);
  struct pid* reader = BPF_CORE_READ(bpf_get_current_task_btf(), thread_pid);
  unsigned int level = BPF_CORE_READ(reader, level);
  struct upid own;
  if (!mm || !handlers || !fs || level >= MAX_LEVELS) return 0;
  if (bpf_core_read(&own, sizeof(own), &reader->numbers[level])) return 0;

  struct signal_struct* signal = BPF_CORE_READ(task, signal);
  struct godwit_process_facts record = {};
  record.pid = number_in(BPF_CORE_READ(task, thread_pid), own.ns, level);
  if (!record.pid) return 0;
  record.brk = BPF_CORE_READ(mm, brk);
  record.timers = timers_of(signal);
  record.umask = BPF_CORE_READ(fs, umask);
  record.dumpable = dumpable_of(mm);
  record.subreaper = BPF_CORE_READ_BITFIELD_PROBED(signal, is_child_subreaper);
  record.execute_only_key = -1;
  if (bpf_core_field_exists(mm->context.pkey_allocation_map)) {
    record.protection_keys = BPF_CORE_READ(mm, context.pkey_allocation_map);
    record.execute_only_key = BPF_CORE_READ(mm, context.execute_only_pkey);
  }
  bpf_seq_write(context->meta->seq, &record, sizeof(record));
  for (int i = 0; i < SIGNALS; ++i) {
    struct godwit_signal_action action;
    action.handler = (u64)BPF_CORE_READ(handlers, action[i].sa.sa_handler);
    action.flags = BPF_CORE_READ(handlers, action[i].sa.sa_flags) & ~SA_IMMUTABLE;
    action.restorer = (u64)BPF_CORE_READ(handlers, action[i].sa.sa_restorer);
    action.mask = BPF_CORE_READ(handlers, action[i].sa.sa_mask.sig[0]);
    bpf_seq_write(context->meta->seq, &action, sizeof(action));
  }
  return 0;
}

static __always_inline unsigned int closes_on_exec(struct task_struct* task, u32 number) {
  struct fdtable* table = BPF_CORE_READ(task, files, fdt);
  unsigned long* words = BPF_CORE_READ(table, close_on_exec);
  unsigned long word = 0;
  if (number >= BPF_CORE_READ(table, max_fds)) return 0;
  if (bpf_probe_read_kernel(&word, sizeof(word), words + number / 64)) return 0;
  return word >> number % 64 & 1;
}

SEC("iter/task_file")
int write_descriptor(struct bpf_iter__task_file* context) {
  struct task_struct* task = context->task;
  struct file* file = context->file;
  if (!task || !file || BPF_CORE_READ(task, group_leader) != task) return 0;
  struct godwit_descriptor_record record = {};
  record.number = (int)context->fd;
  record.description = (u64)file;
  record.inode = BPF_CORE_READ(file, f_inode, i_ino);
  record.position = (u64)BPF_CORE_READ(file, f_pos);
  record.flags = BPF_CORE_READ(file, f_flags);
  record.close_on_exec = closes_on_exec(task, context->fd);
  record.has_locks = BPF_CORE_READ(file, f_inode, i_flctx) != 0;
  record.device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
  record.operations = (u64)BPF_CORE_READ(file, f_op);
  record.object = (u64)BPF_CORE_READ(file, private_data);
  struct eventfd_ctx* counter = (struct eventfd_ctx*)record.object;
  record.count = BPF_CORE_READ(counter, count);
  record.count_flags = BPF_CORE_READ(counter, flags);
  struct pipe_inode_info* pipe = (struct pipe_inode_info*)record.object;
  record.pipe_pages = BPF_CORE_READ(pipe, max_usage);
  record.pipe_holds = BPF_CORE_READ(pipe, head) != BPF_CORE_READ(pipe, tail);
  bpf_seq_write(context->meta->seq, &record, sizeof(record));
  return 0;
}

// The clock that last_start is on, set against CLOCK_MONOTONIC: when the reader itself was last started. It has just
// slept.
struct clock_pair {
  u64 last_start, ran_since, now_monotonic;
};
SEC("iter/task")
int write_reader_clock(struct bpf_iter__task* context) {
  struct task_struct* task = context->task;
  if (!task || BPF_CORE_READ(task, pid) != (int)bpf_get_current_pid_tgid()) return 0;
  struct clock_pair pair;
  pair.now_monotonic = bpf_ktime_get_ns();
  pair.last_start = BPF_CORE_READ(task, sched_info.last_arrival);
  pair.ran_since = 0;
  bpf_seq_write(context->meta->seq, &pair, sizeof(pair));
  return 0;
}
