// The compiled BPF programs of urgent_marks.bpf.c as bytes.
    .section .rodata
    .globl godwit_urgent_marks_program, godwit_urgent_marks_program_end
    .balign 16
godwit_urgent_marks_program:
    .incbin GODWIT_URGENT_MARKS_OBJECT
godwit_urgent_marks_program_end:
    .section .note.GNU-stack, "", @progbits
