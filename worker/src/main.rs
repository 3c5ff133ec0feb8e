//! The binary `spool`: reads the command line and carries it out.

mod cli;
mod demo;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().into()
}
