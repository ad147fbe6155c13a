//! `viewstorm report DIR`.

use anyhow::Context;
use viewstorm_report::Run;

use super::Exit;
use super::arguments::ReportArguments;

pub(super) fn report(arguments: &ReportArguments) -> anyhow::Result<Exit> {
    let directory = &arguments.directory;
    let run = match Run::open(directory) {
        Ok(run) => run,
        Err(error) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
    };
    let written = viewstorm_report::write_all(directory, &run.results, &run.history)
        .with_context(|| format!("the report of {}", directory.display()))?;
    for path in written {
        println!("{}", path.display());
    }
    Ok(Exit::Expected)
}
