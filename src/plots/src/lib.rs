//! Latencies as people look at them: tables, plots, one page. Used by commands and the load generator, on their one thread; knows histograms and drawing,
//! and nothing of servers, sockets or files.
//!
//! [`recording`] is what was measured, read from an interval log; [`figures`] are its numbers; a [`chart::Chart`] becomes a
//! [`picture::Picture`], which [`svg`] writes and [`png`] paints; a [`page::Page`] is charts and tables in one file of HTML. [`views`] are the
//! charts and tables that people ask for.

pub mod axis;
pub mod chart;
pub mod figures;
pub mod log;
pub mod number;
pub mod page;
pub mod picture;
pub mod png;
pub mod recording;
pub mod svg;
pub mod table;
pub mod views;
