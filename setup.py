"""The compiled twins of the hottest paths; where no compiler is, the package is whole without them (`native`)."""

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    extensions = []
else:
    extensions = cythonize(
        [
            Extension(
                "native.positions_twin",
                ["native/positions_twin.pyx"],
                include_dirs=["native"],
                depends=["native/decimals.h", "native/writing.h", "native/slots.h"],
                extra_compile_args=["-O2"],
                optional=True,
            )
        ],
    )

setup(ext_modules=extensions)
