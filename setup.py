"""The compiled twins of the hottest paths; where no compiler is, the package is whole without them (`native`)."""

from glob import glob

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    extensions = []
else:
    # A square root and a choice between two values may be done for many options at once only where nobody asks for the
    # error number or the trap of one of them.
    columns = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
    plain = ["-O2"]
    names = ("capture_twin", "cash_twin", "frames_twin", "ledger_twin", "positions_twin", "slot_twin")
    twins = {**dict.fromkeys(names, plain), "options_twin": columns}
    extensions = cythonize(
        [
            Extension(
                f"native.{name}",
                [f"native/{name}.pyx"],
                include_dirs=["native"],
                depends=glob("native/*.h") + glob("native/*.pxi"),
                extra_compile_args=arguments,
                optional=True,
            )
            for name, arguments in twins.items()
        ],
    )

setup(ext_modules=extensions)
