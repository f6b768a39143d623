# To be sourced: Debian's second toolchain (rustc-web, cargo-web, rust-web-src). It has the standard
# library's source with what that depends on, so that -Zbuild-std builds for any target. rustup's,
# which has one target, must not come first on PATH.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TERM_COLOR=never
unset RUSTUP_TOOLCHAIN
