// The compiled BPF programs of kernel_tasks.bpf.c as bytes.
    .section .rodata
    .globl godwit_kernel_tasks_program, godwit_kernel_tasks_program_end
    .balign 16
godwit_kernel_tasks_program:
    .incbin GODWIT_KERNEL_TASKS_OBJECT
godwit_kernel_tasks_program_end:
    .section .note.GNU-stack, "", @progbits
