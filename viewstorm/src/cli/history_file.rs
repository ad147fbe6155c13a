//! Reads a history of any tool, from a file, a run's folder or standard input.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use clap::ValueEnum;
use viewstorm_history::{CallLog, EdnOptions, ReadError};

/// How a history is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON lines, as our own runs have them.
    Jsonl,
    /// Jepsen's EDN: maps one a line, or in a vector.
    Edn,
}

/// Reads a history; the format is what the file's name or else its beginning says. The error names the place.
pub(super) fn read_history(
    path: &Path,
    format: Option<Format>,
    keyed: bool,
) -> Result<CallLog, String> {
    let file = if path.is_dir() {
        path.join(viewstorm_report::HISTORY_FILE)
    } else {
        path.to_owned()
    };
    let is_stdin = path == Path::new("-");
    let name = if is_stdin {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let mut source: Box<dyn Read> = if is_stdin {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(&file).map_err(|error| format!("{name}: {error}"))?)
    };
    let by_name = match file.extension().and_then(|extension| extension.to_str()) {
        Some("edn") => Some(Format::Edn),
        Some("jsonl") => Some(Format::Jsonl),
        _ => None,
    };
    let mut begin = Vec::new();
    let format = match format.or(by_name) {
        Some(format) => format,
        None => {
            const ENOUGH: u64 = 4096;
            let mut first = (&mut source).take(ENOUGH);
            first
                .read_to_end(&mut begin)
                .map_err(|error| format!("{name}: {error}"))?;
            guess(&begin)
        }
    };
    let mut source = Cursor::new(begin).chain(source);
    let read = match format {
        Format::Jsonl => CallLog::read_jsonl(source),
        Format::Edn => {
            let mut text = String::new();
            source
                .read_to_string(&mut text)
                .map_err(|error| format!("{name}: {error}"))?;
            CallLog::read_edn(
                &text,
                EdnOptions {
                    keyed: keyed.then_some(true),
                },
            )
        }
    };
    read.map_err(|error: ReadError| format!("{name}: {error}"))
}

/// JSON's objects begin with a brace and a quote or a brace.
fn guess(begin: &[u8]) -> Format {
    let mut bytes = begin.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next(), bytes.next()) {
        (None, _) | (Some(b'{'), Some(b'"' | b'}')) => Format::Jsonl,
        _ => Format::Edn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_tells_the_format() {
        for json in ["", "\n", "{\"time\":1", " { \"process\"", "{}"] {
            assert_eq!(guess(json.as_bytes()), Format::Jsonl, "{json}");
        }
        for edn in [
            "{:type :ok",
            "[{:type :ok",
            "; comment",
            "#jepsen.history.Op{",
            "nonsense",
        ] {
            assert_eq!(guess(edn.as_bytes()), Format::Edn, "{edn}");
        }
    }
}
