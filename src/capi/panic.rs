//! The panic handler that a library without std must have. Nothing calls it, and CI proves it: with
//! `vesde_panic_trap` the handler calls a function that nobody defines, and no such call is left in
//! the archive.

#[cfg(not(panic = "abort"))]
compile_error!("the C library is built with --profile c: README.md, In C");

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(vesde_panic_trap)]
    {
        unsafe extern "C" {
            safe fn vesde_panic_path_is_reachable() -> !;
        }
        vesde_panic_path_is_reachable()
    }
    #[cfg(not(vesde_panic_trap))]
    loop {
        core::hint::spin_loop();
    }
}
