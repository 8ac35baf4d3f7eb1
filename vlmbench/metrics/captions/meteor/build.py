"""Compiles METEOR's kernel to machine code that runs without numba. Takes some seconds, once."""

import llvmlite.binding as llvm


def compile_kernel() -> bytes:
    """The kernel's object file, for this machine's processor; its functions have their own names, prefixed with
    `meteor_`.

    Raises:
        ImportError: numba is not installed.
        RuntimeError: the code would need numba to run.
    """
    from vlmbench.metrics.captions.meteor import kernel

    functions = (
        kernel.find_phrases,
        kernel.number_phrases,
        kernel.list_paraphrases,
        kernel.list_synonyms,
        kernel.count_pairs,
    )
    module = llvm.parse_assembly(functions[0].inspect_llvm())
    for function in functions[1:]:
        module.link_in(llvm.parse_assembly(function.inspect_llvm()))
    names = {function.native_name: f"meteor_{function.__name__}" for function in functions}
    for inner in module.functions:
        if inner.name in names:
            inner.name = names[inner.name]
        elif not inner.is_declaration:
            inner.linkage = "internal"
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="default",
        codemodel="jitdefault",
        jit=True,
    )
    # In the whole module nothing raises, so numba's calls into Python are optimized away.
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    for outside in module.functions:
        if outside.is_declaration and not outside.name.startswith("llvm."):
            raise RuntimeError(f"METEOR's kernel calls {outside.name}")
    return machine.emit_object(module)  # type: ignore[no-any-return]
