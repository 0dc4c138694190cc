//! A plot as an SVG picture: panels beside each other, each with axes, units and a legend. As much as a report of ours needs.

use std::fmt::Write as _;

/// Sizes, in pixels: of a panel's axes, and of what stands around them.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 44.0;
const BELOW: f64 = 58.0;
const BETWEEN: f64 = 50.0;
/// About how many numbers an axis has.
const TICKS: f64 = 5.0;
/// One colour for each line, told apart by those who see few of them too (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// What is on the axis below, with its unit.
    pub x: String,
    /// What is on the axis beside, with its unit.
    pub y: String,
    /// The lines, at most four.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is, for the legend.
    pub name: String,
    /// From left to right: where, the median there, the lowest and the highest.
    pub points: Vec<[f64; 4]>,
}

/// The picture.
#[must_use]
pub fn svg(panels: &[Panel]) -> String {
    let (count, width) = (panels.len() as f64, LEFT + WIDTH + BETWEEN);
    let (all, height) = (width * count, TOP + HEIGHT + BELOW);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {all} {height}\" width=\"{all}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        let left = at as f64 * width + LEFT;
        let _written = writeln!(out, "<g transform=\"translate({left} {TOP})\">\n{}</g>", draw(panel));
    }
    out + "</svg>\n"
}

/// An axis: how far it goes, and from number to number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    end: f64,
    step: f64,
}

impl Axis {
    /// From nothing to the highest, or a little beyond, by steps of 1, 2 or 5.
    fn to(highest: f64) -> Self {
        let highest = if highest.is_finite() && highest > 0.0 { highest } else { 1.0 };
        let size = 10f64.powf((highest / TICKS).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|of| of * size).into_iter().find(|step| step * TICKS >= highest);
        let step = step.unwrap_or(10.0 * size);
        Self { end: (highest / step).ceil() * step, step }
    }

    fn numbers(self) -> impl Iterator<Item = (f64, String)> {
        let decimals = if self.step < 1.0 { (-self.step.log10()).ceil().max(0.0) } else { 0.0 };
        let count = (self.end / self.step).round().max(0.0);
        (0_u32..).take_while(move |i| f64::from(*i) <= count).map(move |i| {
            let number = f64::from(i) * self.step;
            (number, format!("{number:.0$}", if decimals > 0.0 { 1 + usize::from(decimals > 1.0) } else { 0 }))
        })
    }
}

fn draw(panel: &Panel) -> String {
    let of = |place: usize| panel.lines.iter().flat_map(move |line| line.points.iter().map(move |point| point[place]));
    let (x, y) = (Axis::to(of(0).fold(0.0, f64::max)), Axis::to(of(3).fold(0.0, f64::max)));
    let at = |point: f64| point / x.end * WIDTH;
    let up = |value: f64| HEIGHT - value / y.end * HEIGHT;
    let mut out = String::new();
    let mut put = |text: String| out.extend([text.as_str(), "\n"]);
    put(format!("<text y=\"-24\" font-weight=\"bold\">{}</text>", escaped(&panel.title)));
    for (number, text) in y.numbers() {
        let here = up(number);
        put(format!("<line x2=\"{WIDTH}\" y1=\"{here:.1}\" y2=\"{here:.1}\" stroke=\"#ddd\"/>"));
        put(format!("<text x=\"-8\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", here + 4.0));
    }
    for (number, text) in x.numbers() {
        put(format!("<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", at(number), HEIGHT + 18.0));
    }
    put(format!("<path d=\"M0 0V{HEIGHT}H{WIDTH}\" fill=\"none\" stroke=\"black\"/>"));
    let middle = WIDTH / 2.0;
    put(format!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT + 40.0, escaped(&panel.x)));
    let (beside, middle) = (14.0 - LEFT, HEIGHT / 2.0);
    put(format!(
        "<text transform=\"translate({beside} {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escaped(&panel.y)
    ));
    for ((line, colour), row) in panel.lines.iter().zip(COLOURS).zip(0_u32..) {
        let path: Vec<_> = line.points.iter().map(|[x, y, ..]| format!("{:.1} {:.1}", at(*x), up(*y))).collect();
        put(format!("<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join("L")));
        for [x, y, lowest, highest] in &line.points {
            let (x, y) = (at(*x), up(*y));
            put(format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"));
            put(format!("<path d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"{colour}\"/>", up(*lowest), up(*highest)));
        }
        let legend = -8.0 + 16.0 * f64::from(row);
        put(format!("<rect x=\"10\" y=\"{legend}\" width=\"14\" height=\"3\" fill=\"{colour}\"/>"));
        put(format!("<text x=\"30\" y=\"{}\">{}</text>", legend + 5.0, escaped(&line.name)));
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_goes_a_little_beyond_the_highest_by_round_steps() {
        for (highest, end, step) in [(4.0, 4.0, 1.0), (1.1, 1.5, 0.5), (37.0, 40.0, 10.0), (0.0, 1.0, 0.2)] {
            assert_eq!(Axis::to(highest), Axis { end, step }, "{highest}");
        }
        let numbers: Vec<_> = Axis::to(1.1).numbers().map(|(_, text)| text).collect();
        assert_eq!(numbers, ["0.0", "0.5", "1.0", "1.5"]);
    }

    #[test]
    fn every_line_is_drawn_to_scale_and_named_and_what_is_named_is_no_markup() {
        let line = Line { name: "p99 <all>".into(), points: vec![[0.0, 0.0, 0.0, 0.0], [4.0, 100.0, 50.0, 100.0]] };
        let panel = Panel { title: "a & b".into(), x: "load, times".into(), y: "ms".into(), lines: vec![line] };
        let drawn = svg(&[panel.clone(), panel]);
        assert!(drawn.contains(&format!("<path d=\"M0.0 {HEIGHT:.1}L{WIDTH:.1} 0.0\"")), "{drawn}");
        assert!(drawn.contains(&format!("<path d=\"M{WIDTH:.1} {:.1}V0.0\"", HEIGHT / 2.0)), "{drawn}");
        assert_eq!(drawn.matches("p99 &lt;all&gt;").count(), 2);
        assert!(drawn.contains("a &amp; b") && drawn.contains("load, times") && !drawn.contains("<all>"));
        assert_eq!(drawn.matches("<g ").count(), drawn.matches("</g>").count());
    }
}
