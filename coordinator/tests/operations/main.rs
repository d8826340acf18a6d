//! The coordinator as its operator knows it.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod served;
