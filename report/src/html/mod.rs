//! `report.html`: one file that opens offline. What it shows it carries in itself.

mod banner;
mod contradiction;
mod facts;
mod faults;
mod frame;
mod ledger;
mod night;
mod page;
mod parts;
mod percentiles;
mod tables;
mod time;
mod timeline;

pub(crate) use night::night_page;
pub(crate) use page::page;
