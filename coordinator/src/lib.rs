//! The thin server of jamsync: accounts, eligibility, contacts, Jam requests, and the introduction of two
//! devices to each other. It is out of the way of a running Jam, and it never sees what is played.
//!
//! [`rules`] decide, over the rows of a [`store`]; [`server`] carries requests to them and events back.
//! [`cli`] is the operator's side, over a [`data`] folder, with the settings of [`config`]; [`operations`] tells the
//! operator's own machine how it goes. Time and randomness come from an [`env::Env`].

pub mod backup;
pub mod cli;
pub mod config;
pub mod data;
pub mod eligibility;
pub mod env;
pub mod metrics;
pub mod operations;
pub mod rules;
pub mod server;
pub mod store;
