//! Where boxes and arrows go: left to right in layers, after Sugiyama, Tagawa and Toda (1981).
//!
//! 1. Arrows that lead back into a walk from the first boxes are set aside.
//! 2. Layer = longest way from a box without arrows into it; sources move right, next to who reads them first.
//! 3. An arrow over several layers gets a dot in each, so that it has its own place between the boxes.
//! 4. Order within a layer: the mean place of the neighbours, back and forth.
//! 5. Heights: towards the mean of the neighbours, without overlaps.
//! 6. Arrows that were set aside return below everything, each in a lane of its own.

/// Pixels.
pub(super) type Point = (f64, f64);

const PORT_GAP: f64 = 30.0;
const ROW_GAP: f64 = 34.0;
const LANE: f64 = 40.0;
const MARGIN: f64 = 36.0;
const SWEEPS: usize = 12;
/// Dots on long arrows, all together. Beyond that they go straight, and nobody could follow them anyway.
const MOST_DOTS: usize = 20_000;

/// What is to be drawn.
pub(super) struct Input<'a> {
    /// Width and height of the boxes.
    pub(super) sizes: &'a [(f64, f64)],
    /// From box to box.
    pub(super) edges: &'a [(usize, usize)],
    /// Width that the label of each edge needs.
    pub(super) labels: &'a [f64],
}

/// A box.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

/// Points of an arrow. A curve leads from an even point to the next, a straight line from an odd one; those that go
/// back are straight, with round corners.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    pub(super) points: Vec<Point>,
    pub(super) back: bool,
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Rect>,
    pub(super) routes: Vec<Route>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Boxes, then dots of long edges.
struct Net {
    layer: Vec<usize>,
    size: Vec<(f64, f64)>,
    center: Vec<f64>,
    /// Neighbours to the left and to the right.
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
    layers: Vec<Vec<usize>>,
    /// Per edge: its dots from left to right.
    dots: Vec<Vec<usize>>,
}

pub(super) fn layout(input: &Input<'_>) -> Layout {
    let back = back_edges(input);
    let sizes = grown(input);
    let mut net = net(input, &sizes, &back);
    order(&mut net);
    heights(&mut net);
    place(input, &net, &sizes, &back)
}

/// Tall enough for the arrows at both sides.
fn grown(input: &Input<'_>) -> Vec<(f64, f64)> {
    let (mut outs, mut ins) = (vec![0usize; input.sizes.len()], vec![0usize; input.sizes.len()]);
    for &(from, to) in input.edges {
        outs[from] += 1;
        ins[to] += 1;
    }
    let arrows = outs.iter().zip(&ins).map(|(a, b)| *a.max(b));
    input.sizes.iter().zip(arrows).map(|(&(w, h), n)| (w, h.max(n as f64 * PORT_GAP + 8.0))).collect()
}

fn back_edges(input: &Input<'_>) -> Vec<bool> {
    let count = input.sizes.len();
    let mut outs: Vec<Vec<(usize, usize)>> = vec![Vec::new(); count];
    for (edge, &(from, to)) in input.edges.iter().enumerate() {
        outs[from].push((edge, to));
    }
    let mut back = vec![false; input.edges.len()];
    let (mut done, mut open) = (vec![false; count], vec![false; count]);
    for root in 0..count {
        if done[root] {
            continue;
        }
        open[root] = true;
        let mut stack = vec![(root, 0)];
        while let Some((vertex, next)) = stack.last_mut() {
            let vertex = *vertex;
            if let Some(&(edge, to)) = outs[vertex].get(*next) {
                *next += 1;
                if open[to] {
                    back[edge] = true;
                } else if !done[to] {
                    open[to] = true;
                    stack.push((to, 0));
                }
            } else {
                open[vertex] = false;
                done[vertex] = true;
                stack.pop();
            }
        }
    }
    back
}

fn layers(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut outs: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut waits = vec![0usize; count];
    for &(from, to) in edges {
        outs[from].push(to);
        waits[to] += 1;
    }
    let sources: Vec<usize> = (0..count).filter(|&vertex| waits[vertex] == 0).collect();
    let mut layer = vec![0; count];
    let mut ready = sources.clone();
    while let Some(vertex) = ready.pop() {
        for &to in &outs[vertex] {
            layer[to] = layer[to].max(layer[vertex] + 1);
            waits[to] -= 1;
            if waits[to] == 0 {
                ready.push(to);
            }
        }
    }
    for source in sources {
        if let Some(first) = outs[source].iter().map(|&to| layer[to]).min() {
            layer[source] = first - 1;
        }
    }
    layer
}

fn net(input: &Input<'_>, sizes: &[(f64, f64)], back: &[bool]) -> Net {
    let forward: Vec<(usize, usize)> =
        input.edges.iter().zip(back).filter(|(_, back)| !**back).map(|(edge, _)| *edge).collect();
    let layer = layers(sizes.len(), &forward);
    let mut net = Net {
        layer,
        size: sizes.to_vec(),
        center: Vec::new(),
        left: vec![Vec::new(); sizes.len()],
        right: vec![Vec::new(); sizes.len()],
        layers: Vec::new(),
        dots: vec![Vec::new(); input.edges.len()],
    };
    for (edge, &(from, to)) in input.edges.iter().enumerate().filter(|(edge, _)| !back[*edge]) {
        let mut last = from;
        if net.size.len() + net.layer[to] - net.layer[from] > sizes.len() + MOST_DOTS {
            net.right[from].push(to);
            net.left[to].push(from);
            continue;
        }
        for layer in net.layer[from] + 1..net.layer[to] {
            let dot = net.size.len();
            net.size.push((0.0, PORT_GAP));
            net.layer.push(layer);
            net.left.push(Vec::new());
            net.right.push(Vec::new());
            net.dots[edge].push(dot);
            net.right[last].push(dot);
            net.left[dot].push(last);
            last = dot;
        }
        net.right[last].push(to);
        net.left[to].push(last);
    }
    net.layers = vec![Vec::new(); net.layer.iter().max().map_or(0, |last| last + 1)];
    for (vertex, &layer) in net.layer.iter().enumerate() {
        net.layers[layer].push(vertex);
    }
    net.center = vec![0.0; net.size.len()];
    net
}

fn order(net: &mut Net) {
    let mut at = vec![0.0; net.size.len()];
    let number = |layers: &[Vec<usize>], at: &mut Vec<f64>| {
        for layer in layers {
            layer.iter().enumerate().for_each(|(place, &vertex)| at[vertex] = place as f64);
        }
    };
    number(&net.layers, &mut at);
    for sweep in 0..SWEEPS {
        let forth = sweep % 2 == 0;
        let count = net.layers.len();
        for step in 0..count {
            let layer = if forth { step } else { count - 1 - step };
            let neighbours = if forth { &net.left } else { &net.right };
            let wish = |vertex: usize| mean(neighbours[vertex].iter().map(|&n| at[n])).unwrap_or(at[vertex]);
            let mut wishes: Vec<(f64, usize)> =
                net.layers[layer].iter().map(|&vertex| (wish(vertex), vertex)).collect();
            wishes.sort_by(|a, b| a.0.total_cmp(&b.0));
            net.layers[layer] = wishes.into_iter().map(|(_, vertex)| vertex).collect();
            number(&net.layers[layer..=layer], &mut at);
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn heights(net: &mut Net) {
    for layer in 0..net.layers.len() {
        apart(net, layer, &vec![0.0; net.layers[layer].len()]);
    }
    for sweep in 0..SWEEPS {
        let forth = sweep % 2 == 1;
        let count = net.layers.len();
        for step in 0..count {
            let layer = if forth { step } else { count - 1 - step };
            let wish = |vertex: usize| {
                let (near, far) = if forth { (&net.left, &net.right) } else { (&net.right, &net.left) };
                let of = |side: &[Vec<usize>]| mean(side[vertex].iter().map(|&n| net.center[n]));
                of(near).or_else(|| of(far)).unwrap_or(net.center[vertex])
            };
            let wishes: Vec<f64> = net.layers[layer].iter().map(|&vertex| wish(vertex)).collect();
            apart(net, layer, &wishes);
        }
    }
}

/// As near to the wishes as the order and the sizes allow.
fn apart(net: &mut Net, layer: usize, wishes: &[f64]) {
    let members = &net.layers[layer];
    let reach = |a: usize, b: usize| (net.size[a].1 + net.size[b].1) / 2.0 + ROW_GAP;
    let (mut down, mut up) = (wishes.to_vec(), wishes.to_vec());
    for place in 1..members.len() {
        let least = down[place - 1] + reach(members[place - 1], members[place]);
        down[place] = down[place].max(least);
    }
    for place in (1..members.len()).rev() {
        let most = up[place] - reach(members[place - 1], members[place]);
        up[place - 1] = up[place - 1].min(most);
    }
    // Both keep the distances, so their mean does.
    let centers: Vec<f64> = down.iter().zip(&up).map(|(down, up)| (down + up) / 2.0).collect();
    for (&vertex, center) in net.layers[layer].iter().zip(centers) {
        net.center[vertex] = center;
    }
}

/// From order and heights to pixels.
fn place(input: &Input<'_>, net: &Net, sizes: &[(f64, f64)], back: &[bool]) -> Layout {
    let count = net.layers.len();
    let (mut widest, mut gaps) = (vec![0.0f64; count], vec![64.0f64; count]);
    for (vertex, &(w, _)) in net.size.iter().enumerate() {
        widest[net.layer[vertex]] = widest[net.layer[vertex]].max(w);
    }
    let mut turns = vec![0usize; count + 1];
    for (edge, &(from, to)) in input.edges.iter().enumerate() {
        if back[edge] {
            turns[net.layer[from] + 1] += 1;
            turns[net.layer[to]] += 1;
        } else {
            let gap = &mut gaps[net.layer[from]];
            *gap = gap.max(input.labels[edge] + 56.0);
        }
    }
    let top = net.center.iter().zip(&net.size).map(|(center, size)| center - size.1 / 2.0);
    let shift = MARGIN - top.fold(f64::INFINITY, f64::min).min(1e9);
    let mut lefts = Vec::new();
    let mut x = MARGIN + turns[0] as f64 * 10.0;
    for layer in 0..count {
        lefts.push(x);
        x += widest[layer] + gaps[layer] + turns[layer + 1] as f64 * 10.0;
    }
    let rect = |vertex: usize| {
        let (layer, (w, h)) = (net.layer[vertex], net.size[vertex]);
        let spare = widest[layer] - w;
        Rect { x: lefts[layer] + spare / 2.0, y: net.center[vertex] + shift - h / 2.0, w, h }
    };
    let boxes: Vec<Rect> = (0..sizes.len()).map(rect).collect();
    let bottom = (0..net.size.len()).map(|vertex| rect(vertex).y + rect(vertex).h).fold(0.0, f64::max);
    let ports = ports(input, net, &boxes, back, shift);
    let mut lanes = 0usize;
    let mut sides = vec![0usize; count + 1];
    let mut routes = Vec::new();
    for (edge, &(from, to)) in input.edges.iter().enumerate() {
        let (start, end) = ports[edge];
        if !back[edge] {
            let mut points = vec![start];
            for &dot in &net.dots[edge] {
                let (left, y) = (lefts[net.layer[dot]], net.center[dot] + shift);
                points.extend([(left, y), (left + widest[net.layer[dot]], y)]);
            }
            points.push(end);
            routes.push(Route { points, back: false });
            continue;
        }
        let lane = if from == to {
            boxes[from].y + boxes[from].h + ROW_GAP / 2.0
        } else {
            lanes += 1;
            bottom + LANE * lanes as f64
        };
        let mut beside = |gap: usize| {
            sides[gap] += 1;
            14.0 + 10.0 * (sides[gap] - 1) as f64
        };
        let out = lefts[net.layer[from]] + widest[net.layer[from]] + beside(net.layer[from] + 1);
        let into = lefts[net.layer[to]] - beside(net.layer[to]);
        let points = vec![start, (out, start.1), (out, lane), (into, lane), (into, end.1), end];
        routes.push(Route { points, back: true });
    }
    let right = boxes.iter().map(|rect| rect.x + rect.w).fold(0.0, f64::max);
    let width =
        routes.iter().flat_map(|route| &route.points).map(|point| point.0).fold(right, f64::max) + MARGIN;
    let height = bottom + lanes as f64 * LANE + MARGIN;
    Layout { boxes, routes, width, height }
}

/// Begin and end of every edge, spread over the sides of the boxes in the order of where they lead.
fn ports(input: &Input<'_>, net: &Net, boxes: &[Rect], back: &[bool], shift: f64) -> Vec<(Point, Point)> {
    let mut outs: Vec<Vec<(f64, usize)>> = vec![Vec::new(); boxes.len()];
    let mut ins = outs.clone();
    for (edge, &(from, to)) in input.edges.iter().enumerate() {
        // Those that go back are the lowest.
        let next = net.dots[edge].first().map_or(net.center[to], |&dot| net.center[dot]);
        let before = net.dots[edge].last().map_or(net.center[from], |&dot| net.center[dot]);
        outs[from].push((if back[edge] { f64::MAX } else { next + shift }, edge));
        ins[to].push((if back[edge] { f64::MAX } else { before + shift }, edge));
    }
    let mut all = vec![((0.0, 0.0), (0.0, 0.0)); input.edges.len()];
    for (vertex, rect) in boxes.iter().enumerate() {
        for (side, edges) in [&mut outs[vertex], &mut ins[vertex]].into_iter().enumerate() {
            edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let middle = (edges.len() as f64 - 1.0) / 2.0;
            for (place, &(_, edge)) in edges.iter().enumerate() {
                let y = rect.y + rect.h / 2.0 + (place as f64 - middle) * PORT_GAP;
                match side {
                    0 => all[edge].0 = (rect.x + rect.w, y),
                    _ => all[edge].1 = (rect.x, y),
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: usize, edges: &[(usize, usize)]) -> Layout {
        let (sizes, labels) = (vec![(100.0, 40.0); count], vec![50.0; edges.len()]);
        layout(&Input { sizes: &sizes, edges, labels: &labels })
    }

    #[test]
    fn boxes_never_overlap_and_arrows_lead_to_the_right() {
        let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 4), (1, 4), (5, 4), (4, 1), (2, 2)];
        let drawn = of(6, &edges);
        for (a, one) in drawn.boxes.iter().enumerate() {
            for other in &drawn.boxes[a + 1..] {
                let beside = one.x + one.w <= other.x || other.x + other.w <= one.x;
                let below = one.y + one.h <= other.y || other.y + other.h <= one.y;
                assert!(beside || below, "{one:?} {other:?}");
            }
        }
        let back: Vec<bool> = drawn.routes.iter().map(|route| route.back).collect();
        assert_eq!(back, [false, false, false, false, false, false, false, false, true, true]);
        for (route, (from, to)) in drawn.routes.iter().zip(edges) {
            assert_eq!(route.points[0].0, drawn.boxes[from].x + drawn.boxes[from].w);
            assert_eq!(route.points.last().unwrap().0, drawn.boxes[to].x);
            assert!(
                route.points.iter().all(|&(x, y)| x > 0.0 && y > 0.0 && x < drawn.width && y < drawn.height)
            );
        }
    }

    #[test]
    fn nothing_and_a_long_line_are_drawn() {
        assert!(of(0, &[]).width > 0.0);
        let edges: Vec<(usize, usize)> = (1..300).map(|n| (n - 1, n)).collect();
        assert_eq!(of(300, &edges).boxes.len(), 300);
    }
}
