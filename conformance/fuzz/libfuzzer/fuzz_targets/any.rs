//! The target that the variable `FUZZ_TARGET` names, for libFuzzer.

#![no_main]

use std::sync::LazyLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let names: Vec<_> = Target::all().iter().map(|target| target.name).collect();
    Target::named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET is none of {names:?}"))
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));
