//! `viewstorm open FILE`.

use std::io::IsTerminal;

use viewstorm_report::{HTML_FILE, Run, closing_lines};

use super::Exit;
use super::arguments::OpenArguments;
use crate::nightly::open_bundle;

pub(super) fn open(arguments: &OpenArguments) -> anyhow::Result<Exit> {
    let folder = match open_bundle(&arguments.bundle, &arguments.into) {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
    };
    println!("{}", folder.display());
    match Run::open(&folder) {
        Ok(run) => {
            let color = std::io::stdout().is_terminal();
            print!(
                "{}",
                closing_lines(&run.results, &folder.join(HTML_FILE), color)
            );
        }
        // A run that was cut off has no results; what there is of it is there.
        Err(error) => println!("{error}"),
    }
    Ok(Exit::Expected)
}
