Bun.serve({
  port: 3000,
  routes: { "/": () => Response.redirect(process.env.PUBLIC_SHOP_URL) },
});
