//! Wide-area networks: how far regions are apart, as their operators measured it.
//!
//! The tables are files of their own, each with its source and its date.

use std::time::Duration;

/// A table of round-trip times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WanPreset {
    /// Between the regions of one provider, means of four weeks until 16 November 2025.
    Ibm2025,
}

/// A region of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    preset: WanPreset,
    index: usize,
}

impl WanPreset {
    /// All, by name.
    pub const ALL: &'static [(&'static str, Self)] = &[("ibm-2025-11", Self::Ibm2025)];

    const fn table(self) -> &'static str {
        match self {
            Self::Ibm2025 => include_str!("../wan/ibm-2025-11.txt"),
        }
    }

    fn rows(self) -> impl Iterator<Item = &'static str> + Clone {
        self.table().lines().filter(|line| !line.starts_with('#'))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, preset)| *preset == self);
        named.map_or("", |(name, _)| *name)
    }

    /// The names of its regions.
    pub fn regions(self) -> impl Iterator<Item = &'static str> + Clone {
        let header = self.rows().next().unwrap_or_default();
        header.split_whitespace().skip(1)
    }

    /// The region of that name, if there is one.
    pub fn region(self, name: &str) -> Option<Region> {
        let index = self.regions().position(|region| region == name)?;
        Some(Region {
            preset: self,
            index,
        })
    }
}

impl Region {
    /// Its preset.
    pub const fn preset(self) -> WanPreset {
        self.preset
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.preset.regions().nth(self.index).unwrap_or_default()
    }

    /// How long a datagram takes to another region of the same preset: half of the round trip.
    pub fn one_way(self, to: Self) -> Duration {
        let row = self.preset.rows().nth(self.index + 1).unwrap_or_default();
        let cell = row.split_whitespace().nth(to.index + 1);
        let round_trip = cell.and_then(|cell| cell.parse().ok()).unwrap_or_default();
        Duration::from_millis(round_trip) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_square_with_source_and_date_and_nearly_the_same_both_ways() {
        for (name, preset) in WanPreset::ALL {
            assert_eq!(preset.name(), *name);
            assert!(preset.table().contains("Source:") && preset.table().contains("20"));
            let regions: Vec<Region> = preset
                .regions()
                .map(|name| preset.region(name).unwrap())
                .collect();
            assert!(regions.len() >= 5);
            for (index, row) in preset.rows().skip(1).enumerate() {
                let cells: Vec<&str> = row.split_whitespace().collect();
                assert_eq!(cells[0], regions[index].name());
                assert_eq!(cells.len(), regions.len() + 1, "{row}");
                assert!(cells[1..].iter().all(|cell| cell.parse::<u32>().is_ok()));
            }
            for from in &regions {
                for to in &regions {
                    let (there, back) = (from.one_way(*to), to.one_way(*from));
                    assert_eq!(there.is_zero(), from == to);
                    let difference = there.abs_diff(back);
                    assert!(difference <= Duration::from_millis(10), "{from:?} {to:?}");
                }
            }
        }
        let (london, tokyo) = ("london", "tokyo");
        let region = |name| WanPreset::Ibm2025.region(name).unwrap();
        let half = Duration::from_millis(118);
        assert_eq!(region(london).one_way(region(tokyo)), half);
    }
}
