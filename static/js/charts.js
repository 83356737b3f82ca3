// Draws the figures of a page as bars, from the same numbers as its table. ECharts, as SVG so that it prints sharp.
const data = JSON.parse(document.getElementById("chart-data").textContent);
const style = getComputedStyle(document.documentElement);
const compact = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact" });
const colour = (name) => style.getPropertyValue(name).trim();

for (const element of document.querySelectorAll("[data-chart]")) {
  const series = data.series.find((one) => one.code === element.dataset.chart);
  const chart = window.echarts.init(element, null, { renderer: "svg" });
  chart.setOption({
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 300,
    aria: { enabled: true, label: { description: element.dataset.description } },
    color: [colour("--accent")],
    textStyle: { fontFamily: "inherit" },
    grid: { left: 8, right: 8, top: 16, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: (value) => (value === null ? "–" : `${value} ${series.unit}`) },
    xAxis: { type: "category", data: data.labels, axisLabel: { color: colour("--ink-soft"), hideOverlap: true }, axisLine: { lineStyle: { color: colour("--line-strong") } }, axisTick: { show: false } },
    yAxis: { type: "value", axisLabel: { color: colour("--ink-soft"), formatter: (value) => compact.format(value) }, splitLine: { lineStyle: { color: colour("--line") } } },
    // A waterfall hangs its bars: an unseen series below each of them.
    series: [
      ...(series.bases ? [{ type: "bar", stack: "all", silent: true, itemStyle: { color: "transparent" }, tooltip: { show: false }, data: series.bases }] : []),
      { name: series.name, type: "bar", barMaxWidth: 36, stack: series.bases ? "all" : undefined, data: series.numbers },
    ],
  });
  addEventListener("resize", () => chart.resize());
  addEventListener("beforeprint", () => chart.resize());
}
