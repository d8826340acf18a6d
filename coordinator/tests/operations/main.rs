//! The coordinator as its operator knows it.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod device;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod older;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod served;
#[cfg(test)]
mod writes;
