//! Sequential models beside the register: one a file, each with what its calls look like in a history.

mod bank;
mod counter;
mod list;
mod multi_register;
mod mutex;
mod queue;
mod set;

#[cfg(test)]
mod tests;

pub(crate) use bank::Bank;
pub(crate) use counter::Counter;
pub(crate) use list::List;
pub(crate) use multi_register::MultiRegister;
pub(crate) use mutex::Mutex;
pub(crate) use queue::Queue;
#[cfg(test)]
pub(crate) use queue::QueueAction;
pub(crate) use set::Set;

/// How many elements of a state explanations show.
const SHOWN: usize = 8;

/// Elements in words, the last few of many.
fn few(elements: &[String]) -> String {
    let skipped = elements.len().saturating_sub(SHOWN);
    let dots = if skipped > 0 {
        format!("{skipped} more, ")
    } else {
        String::new()
    };
    format!("[{dots}{}]", elements[skipped..].join(", "))
}
