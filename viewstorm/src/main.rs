//! The command line of viewstorm.

use std::process::ExitCode;

fn main() -> ExitCode {
    viewstorm::cli::main()
}
