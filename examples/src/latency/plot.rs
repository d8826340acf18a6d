//! A plot over time as inline SVG: lines, bands around zero, and marks.

use std::fmt::Write as _;

/// A plot under construction.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    title: String,
    unit: &'static str,
    series: Vec<Series>,
    marks: Vec<(f64, String)>,
}

/// Something drawn.
#[derive(Clone, Debug)]
struct Series {
    name: String,
    look: Look,
    points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A line of a colour, counted.
    Line(usize),
    /// An area from minus to plus the value; it sets no scale.
    Band,
    /// Bars from zero up.
    Bars,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 28.0;
const COLOURS: [&str; 6] = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"];

impl Plot {
    pub(super) fn new(title: impl Into<String>, unit: &'static str) -> Self {
        Self { title: title.into(), unit, series: Vec::new(), marks: Vec::new() }
    }

    /// Adds a series; points are taken in the order given.
    pub(super) fn add(&mut self, name: impl Into<String>, look: Look, points: Vec<(f64, f64)>) {
        if !points.is_empty() {
            self.series.push(Series { name: name.into(), look, points });
        }
    }

    /// Marks an instant.
    pub(super) fn mark(&mut self, at: f64, what: impl Into<String>) {
        self.marks.push((at, what.into()));
    }

    /// The plot as SVG.
    pub(super) fn svg(&self) -> String {
        let scale = Scale::of(&self.series);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><text x=\"{LEFT}\" y=\"15\" class=\"t\">{} ({})</text>",
            escape(&self.title),
            escape(self.unit)
        );
        // Writing to a text cannot fail.
        let _ = self.draw(&scale, &mut svg);
        svg.push_str("</svg>");
        svg
    }

    fn draw(&self, scale: &Scale, svg: &mut String) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - 10.0, HEIGHT - BOTTOM);
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let value = scale.y.0 + share * (scale.y.1 - scale.y.0);
            let y = scale.down(value);
            write!(
                svg,
                "<path class=\"g\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"n\" x=\"{}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                number(value)
            )?;
            let at = scale.x.0 + share * (scale.x.1 - scale.x.0);
            write!(
                svg,
                "<text class=\"m\" x=\"{:.1}\" y=\"{}\">{}</text>",
                scale.across(at),
                HEIGHT - 10.0,
                number(at)
            )?;
        }
        for (at, what) in &self.marks {
            let x = scale.across(*at);
            write!(
                svg,
                "<path class=\"e\" d=\"M{x:.1} {TOP}V{bottom}\"><title>{}</title></path>",
                escape(what)
            )?;
        }
        for series in &self.series {
            let place = |&(x, y): &(f64, f64)| format!("{:.1} {:.1}", scale.across(x), scale.down(y));
            let path = |points: &[(f64, f64)]| points.iter().map(place).collect::<Vec<_>>().join("L");
            let title = escape(&series.name);
            match series.look {
                Look::Line(colour) => {
                    let colour = COLOURS[colour % COLOURS.len()];
                    write!(
                        svg,
                        "<path fill=\"none\" stroke=\"{colour}\" d=\"M{}\"><title>{title}</title></path>",
                        path(&series.points)
                    )?;
                }
                Look::Band => {
                    let back: Vec<(f64, f64)> = series.points.iter().rev().map(|(x, y)| (*x, -y)).collect();
                    write!(
                        svg,
                        "<path class=\"b\" d=\"M{}L{}Z\"><title>{title}</title></path>",
                        path(&series.points),
                        path(&back)
                    )?;
                }
                Look::Bars => {
                    let zero = scale.down(0.0);
                    for (x, y) in &series.points {
                        let (x, top) = (scale.across(*x), scale.down(*y));
                        write!(
                            svg,
                            "<path stroke=\"{}\" stroke-width=\"5\" d=\"M{x:.1} {zero:.1}V{top:.1}\"/>",
                            COLOURS[0]
                        )?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// From values to places.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    /// All that is drawn fits, but for bands, which are cut off: they may be a thousand times as wide.
    fn of(series: &[Series]) -> Self {
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (least, most) =
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |r, v| (r.0.min(v), r.1.max(v)));
            if least.is_finite() && most > least { (least, most) } else { (0.0, 1.0) }
        };
        let setting = || series.iter().filter(|series| series.look != Look::Band);
        let x = range(&mut series.iter().flat_map(|series| &series.points).map(|point| point.0));
        let (least, most) = range(&mut setting().flat_map(|series| &series.points).map(|point| point.1));
        let room = (most - least) * 0.08;
        let bars = series.iter().any(|series| series.look == Look::Bars);
        Self { x, y: if bars { (0.0, most) } else { (least - room, most + room) } }
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - 10.0 - LEFT)
    }

    fn down(&self, y: f64) -> f64 {
        let share = ((y - self.y.0) / (self.y.1 - self.y.0)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
    }
}

/// A number with as many decimals as it needs.
fn number(value: f64) -> String {
    let decimals = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 1.0 {
        1
    } else {
        3
    };
    format!("{value:.decimals$}")
}

/// Text as it may stand in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_of_nothing_and_of_one_value_has_finite_places() {
        let mut plot = Plot::new("a < b", "us");
        assert!(!plot.svg().contains("NaN"));
        plot.add("one", Look::Line(0), vec![(1.0, 2.0)]);
        plot.add("bound", Look::Band, vec![(1.0, 1e9)]);
        plot.mark(1.0, "a & b");
        let svg = plot.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("a &amp; b"), "{svg}");
    }
}
