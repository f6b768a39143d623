//! Samples clothes with examples/fashion/clothes.onnx on ONNX Runtime. vesde works on the memory
//! of the tensors that are bound as the network's inputs and output: nothing is copied between
//! them. To show it, the network gets one operator more, which tells where its inputs lie.
//!
//!     clothes-onnxruntime LIBRARY clothes.onnx OUTPUT.png
//!
//! The clothes are those of the C++ programs with `--columns 2 --evaluations 10`.

use std::error::Error;
use std::fs::File;
use std::time::Instant;

use ort::editor::{Graph, Model, Node};
use ort::memory::Allocator;
use ort::operator::{
    BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{Outlet, Shape, SymbolicDimensions, Tensor, TensorElementType, ValueType};
use vesde::{
    Buffers, Config, Method, Prediction, Request, Sampler, SamplerOptions, Schedule, set_karras_sigmas,
};

const SIDE: usize = 28;
const CLASSES: usize = 10;
const COLUMNS: usize = 2;
const PICTURES: usize = CLASSES * COLUMNS;
const EVALUATIONS: usize = 10;
const THREADS: usize = 2;
const DOMAIN: &str = "vesde.example";
const INPUTS: [&str; 3] = ["x", "sigma", "classes"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, output] = &arguments[..] else {
        return Err("LIBRARY clothes.onnx OUTPUT.png".into());
    };
    let environment = ort::init_from(library)?.build()?;
    let mut session = session(Session::builder(&environment)?.with_intra_threads(THREADS)?, model)?;

    // Their memory is the program's to read and write between runs.
    let tensor = |shape: &[usize]| Tensor::<f32>::new(&Allocator::default(), shape);
    let mut x = tensor(&[PICTURES, 1, SIDE, SIDE])?;
    let mut sigmas = tensor(&[PICTURES])?;
    let mut classes = tensor(&[PICTURES, CLASSES])?;
    let mut denoised = tensor(&[PICTURES, 1, SIDE, SIDE])?;
    let mut addresses = Tensor::<i64>::new(&Allocator::default(), [INPUTS.len()])?;
    let one_hot = classes.extract_tensor_mut().1;
    one_hot.fill(0.0);
    for i in 0..PICTURES {
        one_hot[i * CLASSES + i / COLUMNS] = 1.0;
    }
    // Bound once: what a run reads is what is in them then.
    let mut binding = session.create_binding()?;
    for (name, input) in INPUTS.into_iter().zip([&x, &sigmas, &classes]) {
        binding.bind_input(name, input)?;
    }
    binding.bind_output("denoised", &mut denoised)?;
    binding.bind_output("addresses", &mut addresses)?;

    let config = Config::from_json(include_bytes!("../fashion/scheduler_config.json"))?;
    let mut along = [0.0; EVALUATIONS + 1]; // the last is 0: the denoised pictures
    set_karras_sigmas(config.sigma_min, config.sigma_max, 7.0, &mut along[..EVALUATIONS])?;
    let schedule = Schedule { timesteps: &[], sigmas: &along, discrete_sigmas: &[] };
    let options = SamplerOptions {
        seed: 42,
        method: Method::Dpmpp2m,
        eta: 1.0,
        prediction: Prediction::Denoised,
        ..SamplerOptions::default()
    };
    let mut sampler = Sampler::new(&config, PICTURES, options)?;
    let mut history = vec![0.0; sampler.workspace_len(PICTURES * SIDE * SIDE)?];

    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    loop {
        let start = Instant::now();
        let (sample, answer) = (x.extract_tensor_mut().1, denoised.extract_tensor().1);
        let (sample_at, answer_at) = (sample.as_ptr(), answer.as_ptr());
        let buffers = Buffers::new(sample, answer);
        let request = sampler.next(&schedule, buffers.with_workspace(&mut history))?;
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        let Request::Score { sigma, .. } = request else { break };

        let sigmas = sigmas.extract_tensor_mut().1;
        sigmas.fill(sigma);
        let given = [sample_at, sigmas.as_ptr(), classes.extract_tensor().1.as_ptr()];
        let start = Instant::now();
        let outputs = session.run_binding(&binding)?;
        theirs.push(start.elapsed().as_secs_f64() * 1e3);
        let seen = outputs["addresses"].try_extract_tensor::<i64>()?.1;
        for ((name, given), seen) in INPUTS.iter().zip(given).zip(seen) {
            assert_eq!(given.addr() as i64, *seen, "the network reads a copy of {name}");
        }
        let made = outputs["denoised"].try_extract_tensor::<f32>()?.1.as_ptr();
        assert_eq!(made, answer_at, "the output is another tensor");
    }
    let (theirs, ours) = (median(theirs), median(ours));
    let share = 100.0 * ours / (ours + theirs);
    println!("the network takes {theirs:.3} ms, vesde {ours:.3} ms: {share:.2} %");
    write_png(output, x.extract_tensor().1)
}

/// A session of the model, to which the operator `Addresses` is added.
fn session(mut builder: SessionBuilder, model: &str) -> Result<Session, Box<dyn Error>> {
    builder = builder.with_operators(OperatorDomain::new(DOMAIN)?.add(Addresses)?)?;
    let mut session = builder.edit_from_file(model)?;
    let mut graph = Graph::new()?;
    let copy = |outlet: &Outlet| Outlet::new(outlet.name(), outlet.dtype().clone());
    graph.set_inputs(session.inputs().iter().map(copy))?;
    let addresses = ValueType::Tensor {
        ty: TensorElementType::Int64,
        shape: Shape::new([INPUTS.len() as i64]),
        dimension_symbols: SymbolicDimensions::empty(1),
    };
    let outputs = session.outputs().iter().map(copy);
    graph.set_outputs(outputs.chain([Outlet::new("addresses", addresses)]))?;
    graph.add_node(Node::new("Addresses", DOMAIN, "addresses", INPUTS, ["addresses"], [])?)?;
    let mut added = Model::new([])?;
    added.set_graph(graph)?;
    session.apply_model(&added)?;
    Ok(session.into_session()?)
}

/// Where the engine lets an operator read the network's inputs. A copy made by the session, when an
/// input is bound or when it runs, has another address.
struct Addresses;

impl Operator for Addresses {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        "Addresses"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        INPUTS.map(|_| OperatorInput::required(TensorElementType::Float32))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Int64)]
    }

    fn create_kernel<'a>(&self, _: &KernelContext<'a>) -> ort::Result<Self::Kernel<'a>> {
        Ok(Box::new(|context: &ComputeContext| {
            let output = context.output(0, [INPUTS.len()])?;
            let mut output = output.ok_or_else(|| ort::Error::new("no output"))?;
            let addresses = output.try_extract_tensor_mut::<i64>()?.1;
            for (i, address) in addresses.iter_mut().enumerate() {
                let input = context.input(i)?.ok_or_else(|| ort::Error::new("no input"))?;
                *address = input.try_extract_tensor::<f32>()?.1.as_ptr().addr() as i64;
            }
            Ok(())
        }))
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Writes the pictures as the C++ programs do: examples/digits/picture.h.
fn write_png(path: &str, pictures: &[f32]) -> Result<(), Box<dyn Error>> {
    const SCALE: usize = 3;
    const GAP: usize = 8;
    const TILE: usize = SIDE * SCALE + GAP;
    const WIDTH: usize = COLUMNS * TILE + GAP;
    const HEIGHT: usize = CLASSES * TILE + GAP;
    let mut pixels = vec![64; WIDTH * HEIGHT];
    for (i, picture) in pictures.chunks_exact(SIDE * SIDE).enumerate() {
        let (left, top) = (GAP + i % COLUMNS * TILE, GAP + i / COLUMNS * TILE);
        for y in 0..SIDE * SCALE {
            for x in 0..SIDE * SCALE {
                let value = picture[y / SCALE * SIDE + x / SCALE];
                pixels[(top + y) * WIDTH + left + x] = (value * 255.0 + 0.5) as u8;
            }
        }
    }
    let mut encoder = png::Encoder::new(File::create(path)?, WIDTH as u32, HEIGHT as u32);
    encoder.set_filter(png::Filter::NoFilter); // as compare.py reads them
    Ok(encoder.write_header()?.write_image_data(&pixels)?)
}
