//! The program. See the library for all there is.

use std::process::ExitCode;

fn main() -> ExitCode {
    drs_exporter::cli::main()
}
