//! Every input that the fuzzers have kept, through the same checks, without a fuzzer.

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is the library of the fuzzers too")]
mod checks;

use std::fs;
use std::path::Path;

/// Runs a check over the corpus of a target and over everything that once broke it.
#[allow(clippy::print_stdout, reason = "what a failing test has printed last names the input")]
fn hold(target: &str, check: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut inputs = 0;
    for kept in ["corpus", "crashes"] {
        // Git keeps no empty folder: a target that nothing has broken yet has none.
        let Ok(entries) = fs::read_dir(fuzz.join(kept).join(target)) else { continue };
        for entry in entries {
            let path = entry.expect("an entry can be read").path();
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            println!("{}", path.display());
            check(&bytes);
            inputs += 1;
        }
    }
    assert!(inputs > 10, "the corpus of {target} is gone");
}

#[test]
fn ebml() {
    hold("ebml", checks::ebml::check);
}

#[test]
fn walk() {
    hold("walk", checks::walk::check);
}

#[test]
fn init() {
    hold("init", checks::init::check);
}

#[test]
fn index() {
    hold("index", checks::index::check);
}

#[test]
fn readback() {
    hold("readback", checks::readback::check);
}

#[test]
fn salvage() {
    hold("salvage", checks::salvage::check);
}

#[test]
fn layout() {
    hold("layout", checks::layout::check);
}
