//! Whether the plan's world can do what a fault asks for.

use viewstorm_nemesis::Fault;

use super::Around;
use crate::plan::choice::Choice;
use crate::plan::error::PlanError;
use crate::plan::run::WorldKind;
use crate::plan::section::Section;
use crate::worlds;

/// Notes an error where it cannot: nothing is done in part or in pretence.
pub(super) fn check(section: &Section<'_, '_>, fault: &Fault, around: &Around<'_>) {
    let (Some(needed), Some((world, span))) = (fault.capability(), &around.world) else {
        return;
    };
    let can = |world: WorldKind| worlds::capabilities(world).contains(&needed);
    if can(*world) {
        return;
    }
    let able = WorldKind::ALL.iter().filter(|(_, world)| can(*world));
    let able: Vec<String> = able
        .map(|(name, _)| format!("`world.kind = \"{name}\"`"))
        .collect();
    let title = format!("the world \"{world}\" cannot do \"{}\"", fault.name());
    let error = PlanError::at(
        section.span(),
        title,
        format!("needs {}", able.join(" or ")),
    );
    section.note(match span {
        Some(span) => error.and(Some(span), "the world"),
        None => error.help(format!(
            "`world.kind` is \"{world}\" where the plan does not say"
        )),
    });
}
