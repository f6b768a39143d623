// The network and its configuration in flash, the files as they are; a NUL behind each ends
// searches.

        .section .rodata.files, "a"

        .global weights, weights_end, scheduler_config, scheduler_config_end
        .balign 4
weights:
        .incbin "examples/digits/weights.safetensors"
weights_end:
        .byte 0

scheduler_config:
        .incbin "examples/digits/scheduler_config.json"
scheduler_config_end:
        .byte 0
