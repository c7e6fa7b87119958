var app = WebApplication.CreateBuilder(args).Build();

app.MapGet("/", () => typeof(Program).Assembly.GetName().Version!.ToString());
app.Run();
