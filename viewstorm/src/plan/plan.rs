//! A plan: everything an experiment is, typed, checked and complete.

use std::path::Path;

use serde::Serialize;
use toml::Spanned;
use toml::de::DeTable;

use super::check::{Check, Expect};
use super::cluster::Cluster;
use super::document::{self, Document, Texts};
use super::error::{PlanError, PlanErrors};
use super::keys;
use super::model::{Model, ReadModel};
use super::nemesis::{self, Around, Faults};
use super::overrides::Override;
use super::run::{Run, World};
use super::section::{Errors, Field, Section};
use super::workload::Workload;

/// Everything an experiment is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Its name, which also names its run folders: lower-case words joined by hyphens.
    pub name: String,
    /// What it is about, for reports.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What the replicas run in.
    pub world: World,
    /// What may go wrong.
    pub model: Model,
    /// The replicas.
    pub cluster: Cluster,
    /// The load.
    pub workload: Workload,
    /// How long it runs.
    pub run: Run,
    /// Its faults.
    #[serde(skip_serializing_if = "Faults::is_empty")]
    pub nemesis: Faults,
    /// How it is judged.
    pub check: Check,
    /// What is expected of it.
    pub expect: Expect,
}

impl Plan {
    /// Reads a plan's file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PlanErrors> {
        Self::load_with(path, &[])
    }

    /// Reads a plan's file with changes from the command line.
    pub fn load_with(path: impl AsRef<Path>, overrides: &[Override]) -> Result<Self, PlanErrors> {
        let path = path.as_ref();
        let text = document::read_text(path)?;
        Self::parse_file(&path.display().to_string(), Some(path), &text, overrides)
    }

    /// Reads any bytes as a plan: whatever they are, a plan or its errors come of it. `label` is the file's
    /// name for errors.
    pub fn parse_bytes(label: &str, bytes: &[u8]) -> Result<Self, PlanErrors> {
        let text = document::decode(label, bytes.to_vec())?;
        Self::parse(label, &text, &[])
    }

    /// Reads a plan's text. `label` is the file's name for errors. Such a plan cannot extend another: a text has no
    /// folder from which to look for it.
    pub fn parse(label: &str, text: &str, overrides: &[Override]) -> Result<Self, PlanErrors> {
        Self::parse_file(label, None, text, overrides)
    }

    fn parse_file(
        label: &str,
        path: Option<&Path>,
        text: &str,
        overrides: &[Override],
    ) -> Result<Self, PlanErrors> {
        let texts = Texts::new(label, path, text, overrides)?;
        let Document { root, errors } = texts.document();
        let errors = Errors::new(errors);
        if text.trim().is_empty() {
            let error = PlanError::new(format!("{label} is empty"));
            return Err(PlanErrors::new(
                texts.sources.clone(),
                vec![error.help("a plan has at least a name: `name = \"my-first-plan\"`")],
            ));
        }
        let plan = Self::read(root, &errors);
        match errors.into_inner() {
            errors if errors.is_empty() => Ok(plan),
            errors => Err(PlanErrors::new(texts.sources.clone(), errors)),
        }
    }

    /// The plan as TOML: complete, and [`Plan::parse`] makes an equal plan of it.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a plan's types all have a TOML form")
    }

    fn read(root: Spanned<DeTable<'_>>, errors: &Errors) -> Self {
        let top = 0..0;
        let mut section = Section::new("", root.into_inner(), top, keys::PLAN, errors);
        let name = read_name(&mut section);
        let description = section.text("description").or(String::new());
        let (world, kind) = World::read(&mut section);
        let model = ReadModel::read(&mut section);
        let (cluster, replicas) = Cluster::read(&mut section);
        let (workload, endpoints) = Workload::read(&mut section);
        let (run, duration) = Run::read(&mut section);
        let around = Around {
            replicas,
            endpoints,
            duration,
            model: &model,
            world: kind,
        };
        let nemesis = nemesis::read(&mut section, &around, errors);
        let (check, checks_span) = Check::read(&mut section);
        let expect = Expect::read(&mut section, &check, checks_span.as_ref());
        section.finish();
        let model = model.value();
        Self {
            name,
            description,
            world,
            model,
            cluster,
            workload,
            run,
            nemesis,
            check,
            expect,
        }
    }
}

/// The one thing that a plan must say: its name.
fn read_name(plan: &mut Section<'_, '_>) -> String {
    const MAX: usize = 64;
    const EXPECTED: &str = "expected lower-case words joined by hyphens, such as \"vr-partitions\"";
    let name = plan.text("name");
    if name.is_absent() && !plan.has("name") {
        let error = PlanError::at(
            plan.span(),
            "the plan has no name",
            "expected `name = \"...\"`",
        );
        plan.note(
            error
                .help("the name is also that of the folder of its runs")
                .missing(),
        );
    }
    if let Field::Here(text, span) = &name {
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if text.len() > MAX {
            let title = format!("the name has {} characters", text.len());
            plan.note(PlanError::at(
                span,
                title,
                format!("expected at most {MAX}"),
            ));
        } else if !text.split('-').all(is_word) {
            plan.note(PlanError::at(
                span,
                "the name cannot name a folder everywhere",
                EXPECTED,
            ));
        }
    }
    name.or(String::new())
}
