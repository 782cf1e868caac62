from setuptools import setup

setup(
    name="bench_rclpy",
    version="0.1.0",
    packages=["bench_rclpy"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/bench_rclpy"]),
        ("share/bench_rclpy", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    license="Apache-2.0",
    entry_points={"console_scripts": ["node = bench_rclpy.node:main"]},
)
