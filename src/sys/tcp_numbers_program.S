// The compiled BPF programs of tcp_numbers.bpf.c as bytes.
    .section .rodata
    .globl godwit_tcp_numbers_program, godwit_tcp_numbers_program_end
    .balign 16
godwit_tcp_numbers_program:
    .incbin GODWIT_TCP_NUMBERS_OBJECT
godwit_tcp_numbers_program_end:
    .section .note.GNU-stack, "", @progbits
