import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Posts the second argument to the URL in the first one, as Java's client does by default. */
public class Post {
  public static void main(String[] arguments) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(arguments[0]))
            .header("Content-Type", "application/json")
            .expectContinue(arguments.length > 2)
            .POST(HttpRequest.BodyPublishers.ofString(arguments[1]))
            .build();
    HttpClient client = HttpClient.newHttpClient();
    // The second request uses the same connection.
    for (int number = 0; number < 2; number++) {
      HttpResponse<String> response =
          client.send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(response.statusCode() + " " + response.body());
    }
  }
}
