"""The compiled twins of the hottest paths; where no compiler is, the package is whole without them (`native`)."""

from glob import glob

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    extensions = []
else:
    extensions = cythonize(
        [
            Extension(
                f"native.{name}",
                [f"native/{name}.pyx"],
                include_dirs=["native"],
                depends=glob("native/*.h"),
                extra_compile_args=["-O2"],
                optional=True,
            )
            for name in ("positions_twin", "slot_twin")
        ],
    )

setup(ext_modules=extensions)
