//! The figures of the nights before: one JSON line a night, in a file beside the nights' folders.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use viewstorm_checker::Validity;

use super::night::Night;

/// How many nights a trend keeps.
const NIGHTS_MAX: usize = 1_000;

/// One night in a trend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrendPoint {
    /// The night.
    pub night: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// The commit.
    pub commit: String,
    /// How it ended.
    pub validity: Validity,
    /// Failures that were new.
    pub new_findings: u64,
    /// Canaries caught, of those tried.
    pub canaries: (u64, u64),
    /// What came of the experiments.
    pub experiments: Vec<TrendExperiment>,
}

/// One experiment of a night in a trend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrendExperiment {
    /// Which.
    pub name: String,
    /// How many seeds ran.
    pub seeds: u64,
    /// How many a second.
    pub seeds_per_s: f64,
    /// Medians over the runs whose figures are sound; none if there are none.
    pub throughput_ops_per_s: Option<f64>,
    /// As above.
    pub latency_us_p50: Option<f64>,
    /// As above.
    pub latency_us_p99: Option<f64>,
}

impl TrendPoint {
    /// A night's figures.
    pub fn of(night: &Night) -> Self {
        let tried = night.canaries.iter().filter(|c| c.seeds.is_some());
        let caught = night.canaries.iter().filter(|c| c.caught);
        let experiments = night.experiments.iter().map(|experiment| TrendExperiment {
            name: experiment.name.clone(),
            seeds: experiment.seeds,
            seeds_per_s: experiment.seeds as f64 / experiment.wall_s.max(1e-3),
            throughput_ops_per_s: experiment.median(|f| f.throughput_ops_per_s),
            latency_us_p50: experiment.median(|f| f.latency_us_p50),
            latency_us_p99: experiment.median(|f| f.latency_us_p99),
        });
        Self {
            night: night.id.clone(),
            started: night.started.clone(),
            commit: night.commit.clone(),
            validity: night.validity(),
            new_findings: night.new_findings().count() as u64,
            canaries: (caught.count() as u64, tried.count() as u64),
            experiments: experiments.collect(),
        }
    }
}

/// Reads a trend, the oldest night first. A file that is not there is an empty one; a line that is none of ours
/// (a night that was cut off while it wrote) is left out.
pub fn read_trend(path: &Path) -> io::Result<Vec<TrendPoint>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let points = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(points.collect())
}

/// Puts a night into a trend, in the place of an earlier part of the same night if there is one.
pub fn append_trend(path: &Path, point: TrendPoint) -> io::Result<Vec<TrendPoint>> {
    let mut points = read_trend(path)?;
    points.retain(|other| other.night != point.night);
    points.push(point);
    let surplus = points.len().saturating_sub(NIGHTS_MAX);
    points.drain(..surplus);
    let mut text = String::new();
    for point in &points {
        text.push_str(&serde_json::to_string(point).expect("plain types serialise"));
        text.push('\n');
    }
    crate::write::write_whole(path, text.as_bytes())?;
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(night: &str) -> TrendPoint {
        TrendPoint {
            night: night.to_owned(),
            started: String::new(),
            commit: String::new(),
            validity: Validity::Valid,
            new_findings: 0,
            canaries: (1, 1),
            experiments: Vec::new(),
        }
    }

    #[test]
    fn a_night_is_there_once_and_a_torn_line_is_left_out() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("trend.jsonl");
        assert!(read_trend(&path).unwrap().is_empty());
        append_trend(&path, point("a")).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"night\":\"tor");
        fs::write(&path, text).unwrap();
        append_trend(&path, point("b")).unwrap();
        let points = append_trend(&path, point("b")).unwrap();
        let nights: Vec<_> = points.iter().map(|point| point.night.as_str()).collect();
        assert_eq!(nights, ["a", "b"]);
    }
}
