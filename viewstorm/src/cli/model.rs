//! `viewstorm model`: what each protocol promises in which system model.

use super::Exit;
use crate::plan::matrix;

pub(super) fn model() -> Exit {
    print!("{}", matrix());
    Exit::Expected
}
